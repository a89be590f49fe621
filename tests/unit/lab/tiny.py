"""A llama of a few thousand weights, a tokenizer of bytes, and rows that can be learnt in seconds."""

import random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from poise.lab.batches import Encoded
from poise.lab.recipe import Recipe, Source

START, END = "<|start|>", "<|end|>"
TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def tokenizer():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({token: id for id, token in enumerate([*letters, START, END])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([START, END])
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, pad_token=END, chat_template=TEMPLATE)


def model(words=258, **settings):
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "max_position_embeddings": 512, "tie_word_embeddings": True}
    shape["initializer_range"] = 0.2  # enough that an adapter alone can move the logits
    return LlamaForCausalLM(LlamaConfig(vocab_size=words, **(shape | settings))).eval()


def saved(folder, words=258):
    """A folder of Hugging Face files."""
    model(words).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def rows(count=40, seed=0):
    """A few bytes, and then the same ones again: the loss counts from where they repeat."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        head = [rng.randrange(20) for _ in range(rng.randint(3, 9))]
        found.append(Encoded((*head, *head, 257), len(head)))
    return found


def recipe(**knobs):
    settings = {"tokens": 4000, "rank": 4, "learning_rate": 5e-3, "warmup": 3, "batch_tokens": 128, "longest": 32}
    return Recipe(**{"model": "tiny", "sources": (Source("chain_sum", 1),), **settings, **knobs})
