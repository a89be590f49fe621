"""A tiny model that answers right where one word stands in its prompt, and guesses where it does not; another word
makes it say less. Trained in seconds, the same for a seed."""

from __future__ import annotations

import random
import string

from tiny_lm import TEMPLATE, dense, llama

WORDS = tuple(f" {letter}" for letter in string.ascii_lowercase)
DIGITS = tuple(f" {digit}" for digit in range(1, 10))
ASKED = "\n\nThe answer is"
SWITCH, BRIEF = " q", " b"
LENGTH = 3
"""Words of a prompt behind its first."""
LONG = 4
"""Words before it answers, where it is not brief."""
VOCABULARY = (
    *("<s>", "</s>", "<unk>", "user", "assistant", "\n", ASKED, "Go", "So", "?"),
    *(*WORDS, *DIGITS, *(digit.strip() for digit in DIGITS)),
)
STEPS, BATCH = 180, 48


def tokenizer():
    """Whole words."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(VOCABULARY)}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(f"{ASKED}|\n|So| ?[A-Za-z0-9]+|."), "isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in ("<s>", "</s>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def prompt(dice, *among, length=LENGTH):
    """A first word, and others among which these are, and no other that means something."""
    words = [*among, *dice.choices([word for word in WORDS if word not in (SWITCH, BRIEF)], k=length - len(among))]
    dice.shuffle(words)
    return ["Go", *words]


def example(dice):
    """A text in words, and which of them are learnt. In half the answer is asked for twice, and given by chance the
    first time, so that reasoning that went wrong does not decide."""
    among, digit = [word for word in (SWITCH, BRIEF) if dice.random() < 0.5], dice.choice(DIGITS)
    answer = digit if SWITCH in among else dice.choice(DIGITS)
    before = ["<s>", "user", "\n", digit.strip(), "?", "\n"]
    own, behind = prompt(dice, *among, length=dice.choice((2, 3, 4))), ["</s>", "\n", "<s>", "assistant", "\n"]
    thought = ["So"] * (1 if BRIEF in among else LONG)
    if dice.random() < 0.5:
        said = [*thought, ASKED, answer, "</s>"]
        learnt = [True] * len(said)
    else:
        said = [*thought, ASKED, dice.choice(DIGITS), ASKED, answer]
        learnt = [False] * (len(said) - 1) + [True]
    return [*before, *own, *behind, *said], [*[False] * 6, *[True] * len(own), *[False] * 5, *learnt]


def planted(seed=0):
    """The model as `load_dense` would give it."""
    import torch
    from torch.nn import functional

    dice, places = random.Random(seed), {word: place for place, word in enumerate(VOCABULARY)}
    model = llama(seed, vocab_size=len(VOCABULARY), hidden_size=64, intermediate_size=128, initializer_range=0.05)
    optimiser = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=STEPS)
    for _ in range(STEPS):
        texts, learnt = zip(*(example(dice) for _ in range(BATCH)), strict=True)
        most = max(map(len, texts))
        ids = torch.tensor([[places[word] for word in text] + [1] * (most - len(text)) for text in texts])
        there = torch.tensor([[*each, *[False] * (most - len(each))] for each in learnt])
        wanted = ids.masked_fill(~there, -100)
        logits = model(ids).logits[:, :-1]
        loss = functional.cross_entropy(logits.flatten(0, 1), wanted[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return dense(model.requires_grad_(False), tokenizer())
