"""Decoding with thoughts: the rows of a llama, which can think behind their text and forget it again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from poise.core import MOST_DRAFTS
from poise.errors import ConfigError
from poise.models.decode import Rows, barred, causal_mask
from poise.models.llama import view_of
from poise.models.packed import product
from poise.models.quiet_star.model import QuietStar
from poise.models.sampling import inverse


@dataclass(frozen=True, slots=True)
class _Paper:
    """Where n rows think behind their last m tokens: keys and values [layers][n, key_heads, reach + m * passes,
    head_width], texts first; `positions` [n, m] of the tokens; `seen` [n, m, reach]: what each sees of its text, added
    to the scores."""

    keys: list[Tensor]
    values: list[Tensor]
    positions: Tensor
    seen: Tensor


class ThinkingRows(Rows):
    """See Rows. Thoughts are written on paper of their own, behind a copy of the text: made once for all the passes of
    a thought, and used again for the next one. A row has slots for `abreast` drafts beyond what its text may use.
    Raises ConfigError for what is no llama, and for a context that leaves no places for a thought. Memory: beside
    the cache as much again, of the rows that think at once and the places that their texts reach, and of their
    thoughts."""

    def __init__(self, thinking: QuietStar, rows: int, context: int, abreast: int = MOST_DRAFTS + 1) -> None:
        llama = view_of(thinking.model)
        if llama is None:
            raise ConfigError("model", type(thinking.model).__name__, "a llama-family model")
        if not 1 <= context <= thinking.room:
            raise ConfigError("context", context, f"1 to {thinking.room}: the model's window, less a thought")
        self.passes = thinking.config.passes
        super().__init__(llama, rows, context + abreast - 1)
        self.thinking, self.limit, self.abreast = thinking, context, abreast
        self._paper = torch.empty(0, dtype=llama.embeddings.dtype, device=llama.embeddings.device)

    @torch.inference_mode()
    def advance(self, which: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """One more token for each of the rows `which` [n]: their states [n, width] and logits [n, vocabulary]."""
        states = self._step(tokens, which)
        return states, product(states, self.model.head)

    @torch.inference_mode()
    def follow(self, row: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Several tokens [m] of a text that is there already, in one pass: states [m, width] and logits [m,
        vocabulary]."""
        places = len(self.held[row]) + torch.arange(len(tokens))[None]
        mask = causal_mask(places, self._reach(places), self.model.embeddings.dtype)
        x = functional.embedding(tokens, self.model.embeddings)
        states = self._pass(x, torch.tensor([row]), places, places, mask)
        self.held[row] += tokens.tolist()
        return states, product(states, self.model.head)

    def forget(self, row: int, length: int) -> None:
        """Keep only the first `length` tokens of a row."""
        del self.held[row][length:]

    @torch.inference_mode()
    def think(self, which: Tensor, states: Tensor, numbers: Tensor) -> Tensor:
        """Think behind each of the last m tokens of the rows `which` [n], side by side: `states` [n, m, width] are
        those of the tokens; thought tokens are sampled at temperature 1 by `numbers` [n, m, thought_tokens] in [0, 1).
        Returns the logits [n, m, vocabulary] of the mixed states. Cost: `passes` steps of n * m places."""
        count, each = states.shape[:2]
        paper = self._written(which, each)
        start, end = (mark.expand(count * each, -1) for mark in self.thinking.marks())
        state = self._column(start, paper, 0)
        for column in range(self.thinking.config.thought_tokens):
            shares = torch.softmax(product(state, self.model.head).float(), -1)
            tokens = inverse(shares, numbers[..., column].flatten().double())
            state = self._column(functional.embedding(tokens, self.model.embeddings), paper, column + 1)
        thought = self._column(end, paper, self.passes - 1)
        mixed, _ = self.thinking.mixed(states.flatten(0, 1), thought)
        return product(mixed.to(states.dtype), self.model.head).view(count, each, -1)

    def _written(self, which: Tensor, each: int) -> _Paper:
        """The texts of some rows copied, with room for the thoughts behind the last `each` tokens."""
        lengths = torch.tensor([len(self.held[row]) for row in which.tolist()])[:, None]
        positions, reach = lengths - each + torch.arange(each), self._reach(lengths - 1)
        heads, width = self.model.shape.key_heads, self.model.shape.head_width
        size = (2 * len(self.keys), len(which), heads, reach + each * self.passes, width)
        if self._paper.numel() < math.prod(size):
            self._paper = self._paper.new_empty(math.prod(size) * 3 // 2)  # texts grow
        sheets = self._paper[: math.prod(size)].view(size)
        rows = which.to(sheets.device)
        for sheet, cache in zip(sheets, (*self.keys, *self.values), strict=True):
            sheet[:, :, :reach] = cache[rows, :, :reach]
        keys, values = sheets.chunk(2)
        return _Paper(
            list(keys), list(values), positions, barred(torch.arange(reach) > positions[..., None], keys.dtype)
        )

    def _column(self, x: Tensor, paper: _Paper, column: int) -> Tensor:
        """The states [n * each, width] of one column of thoughts. Columns stand one after the other behind the text, in
        each of them the thoughts of the last `each` tokens side by side."""
        count, each, reach = paper.seen.shape
        others = barred(~torch.eye(each, dtype=torch.bool), paper.seen.dtype).repeat(1, column + 1)
        mask = torch.cat((paper.seen, others.expand(count, -1, -1)), -1)
        slots = (reach + column * each + torch.arange(each)).expand(count, -1)
        return self._pass(x, None, slots, paper.positions + column + 1, mask, (paper.keys, paper.values))
