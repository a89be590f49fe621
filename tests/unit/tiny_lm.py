"""Tiny random language models with a real tokenizer: PyTorch code tested in milliseconds."""

from __future__ import annotations

from typing import Any

from poise.models.card import card_from_config
from poise.models.dense import DenseModel

TEMPLATE = (
    "{% for message in messages %}{{ '<s>' + message['role'] + '\\n' + message['content'] + '</s>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}"
)


SIZES = {
    "vocab_size": 258,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.5,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def tokenizer(*merges: tuple[str, str]) -> Any:
    """Bytes as tokens, and two special ones: 0 opens a turn, 1 ends it. `merges`: pairs that are a token together."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {"<s>": 0, "</s>": 1} | {letter: place for place, letter in enumerate(alphabet, 2)}
    words |= {"".join(pair): place for place, pair in enumerate(merges, len(words))}
    made = Tokenizer(models.BPE(words, list(merges)))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in ("<s>", "</s>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=TEMPLATE
    )


INST = "{% for message in messages %}{{ '<s>[INST] ' + message['content'] | trim + ' [/INST]' }}{% endfor %}"
"""As Llama 2 has it: no line of its own for the model's turn."""
SPACED = ("normalizer", "first", "always")
"""How tokenizers of SentencePiece's kind put a space before the first word: Llama 2's of each part between special
tokens, and that of Metaspace, of the text alone or of each part."""


def metaspace(how: str, template: str = TEMPLATE) -> Any:
    """Words with their space in front as tokens, as SentencePiece makes them: 0 opens a turn, 1 ends it, then bytes,
    letters, and a few merges."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    merges = [("T", "h"), ("i", "n"), ("Th", "in"), ("Thin", "k"), ("▁", "Think"), ("▁", "f"), ("S", "o"), ("▁", "So")]
    merges += [("▁", digit) for digit in "123456789"]
    names = ["<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    words = {name: place for place, name in enumerate([*names, *map("".join, merges)])}
    made = Tokenizer(models.BPE(words, merges, byte_fallback=True))
    if how == "normalizer":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=how, split=False)
    spaces = decoders.Replace("▁", " ")
    made.decoder = decoders.Sequence([spaces, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in ("<s>", "</s>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=template
    )


def llama(seed: int = 0, **changes: Any) -> Any:
    """A random Llama of two layers, float32, grouped keys."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**SIZES | {"tie_word_embeddings": True} | changes)).eval()


def mistral(seed: int = 0, **changes: Any) -> Any:
    """The same tensors as another class, with a sliding window or without."""
    from transformers import MistralConfig, MistralForCausalLM

    model = llama(seed)
    same = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    same += ("num_key_value_heads", "max_position_embeddings", "tie_word_embeddings", "rms_norm_eps")
    same += ("bos_token_id", "eos_token_id")
    settings = {name: getattr(model.config, name) for name in same} | {"sliding_window": None}
    made = MistralForCausalLM(MistralConfig(**settings | changes))
    made.load_state_dict(model.state_dict())
    return made.eval()


def gpt2(seed: int = 0) -> Any:
    """A random model of another family."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=258,
        n_positions=512,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=1,
    )
    return GPT2LMHeadModel(config).eval()


def dense(model: Any | None = None, words: Any | None = None) -> DenseModel:
    """A tiny model as `load_dense` would give it; `words`: another tokenizer."""
    model = model or llama()
    config = model.config.to_dict()
    names = {"n_layer": "num_hidden_layers", "n_embd": "hidden_size", "n_head": "num_attention_heads"}
    config |= {theirs: config[ours] for ours, theirs in names.items() if ours in config}
    config |= {"intermediate_size": config.get("intermediate_size", 128), "max_position_embeddings": 512}
    return DenseModel("tiny", model, words or tokenizer(), card_from_config(config, "tiny"))
