"""What a head learns from: hidden states of recorded draws, read where lines end, and how the whole draw ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poise import prompts
from poise.core import Finish, Request
from poise.errors import ConfigError
from poise.lab.pool import PooledItem
from poise.models.head import Array, HeadCard, features_at
from poise.models.reader import Asked, Reader, read
from poise.models.turns import Text, prompt_ids, text_ids
from poise.store.pool_dir import PooledDraw


@dataclass(frozen=True, slots=True)
class Places:
    """Read-outs of many draws: features [n, width], how many lines are written, which draw and which question each
    belongs to, whether the draw ended right, and whether the place is the draw's last."""

    features: Array
    depths: NDArray[np.int64]
    draws: NDArray[np.int64]
    questions: NDArray[np.int64]
    right: NDArray[np.bool_]
    last: NDArray[np.bool_]

    def where(self, kept: NDArray[np.bool_]) -> Places:
        """Some of the places."""
        chosen = {part.name: getattr(self, part.name)[kept] for part in dataclasses.fields(self)}
        return Places(**chosen)


def read_out(
    reader: Reader,
    items: Sequence[PooledItem],
    card: HeadCard,
    watch: Callable[[int], None] = lambda done: None,
) -> Places:
    """Read every draw of every item at its line ends, as a head with this card does. Cost: one forward pass over each
    draw, as deep as the card's layers (all of them for `surprise`); about `len(items)` questions are read once each.
    `watch` is told how many items are done."""
    parts: list[Places] = []
    for question, one in enumerate(items):
        told = [draw for draw in one.draws if draw.draft.text]
        if told:
            ids = [text_ids(reader.tokenizer, Text(draw.draft.text, draw.draft.finish is Finish.EOS)) for draw in told]
            asked = Asked(question_ids(reader, one), ids)
            [states] = read(reader.llama, [asked], card.layers, card.surprise)
            for draw, tokens, state in zip(told, ids, states, strict=True):
                ends = line_ends(reader, tokens)
                found = features_at(state.float().numpy(), ends, card.pooled, card.surprise)
                parts.append(_places(found, question, draw))
        watch(question + 1)
    if not parts:
        raise ConfigError("pool", len(items), "a pool with drafts in it")
    fields = (part.name for part in dataclasses.fields(Places))
    return Places(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


def question_ids(reader: Reader, one: PooledItem) -> list[int]:
    """A question as token ids, asked with nothing around it, as a scorer meets it in a request."""
    return prompt_ids(reader.tokenizer, prompts.load("bare").render(Request.ask(one.item.question, one.item.kind)))


def _places(features: Array, question: int, draw: PooledDraw) -> Places:
    n = len(features)
    return Places(
        features,
        np.arange(1, n + 1),
        np.full(n, question * 1_000 + draw.index),
        np.full(n, question),
        np.full(n, draw.correct),
        np.arange(n) == n - 1,
    )


def line_ends(reader: Reader, tokens: Sequence[int]) -> NDArray[np.int64]:
    """Places of the tokens that end a line, and the last."""
    ends = [place for place, token in enumerate(tokens[:-1]) if token in reader.newlines]
    return np.array([*ends, len(tokens) - 1])
