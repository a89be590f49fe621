"""Decoding with thoughts: the rows of a llama, which can think behind their text and forget it again."""

from __future__ import annotations

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


class ThinkingRows(Rows):
    """See Rows. Thoughts are written behind the text of a row, where its next tokens will overwrite them; so a row has
    slots for drafts and their thoughts beyond what its text may use: of `abreast` tokens at once. Raises ConfigError
    for what is no llama."""

    def __init__(self, thinking: QuietStar, rows: int, context: int, abreast: int = MOST_DRAFTS + 1) -> None:
        llama = view_of(thinking.model)
        if llama is None:
            raise ConfigError("model", type(thinking.model).__name__, "a llama-family model")
        self.passes = thinking.config.n_ahead - 1
        super().__init__(llama, rows, context + abreast - 1 + abreast * self.passes)
        self.thinking, self.limit, self.abreast = thinking, context, abreast

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
        start, end = (mark.expand(count * each, -1) for mark in self.thinking.marks())
        state = self._column(start, which, each, 0)
        for column in range(self.thinking.config.thought_tokens):
            shares = torch.softmax(product(state, self.model.head).float(), -1)
            tokens = inverse(shares, numbers[..., column].flatten().double())
            state = self._column(functional.embedding(tokens, self.model.embeddings), which, each, column + 1)
        thought = self._column(end, which, each, self.passes - 1)
        mixed, _ = self.thinking.mixed(states.flatten(0, 1), thought)
        return product(mixed.to(states.dtype), self.model.head).view(count, each, -1)

    def _column(self, x: Tensor, which: Tensor, each: int, column: int) -> Tensor:
        """The states [n * each, width] of one column of thoughts. Columns stand one after the other behind the text, in
        each of them the thoughts of the last `each` tokens side by side."""
        lengths, own = torch.tensor([len(self.held[row]) for row in which.tolist()])[:, None], torch.arange(each)
        slots, positions = lengths + column * each + own, lengths - each + own
        places = torch.arange(self._reach(slots))
        behind = places - lengths[..., None]
        others = (behind % each != own[:, None]) | (places > slots[..., None])
        hidden = torch.where(behind < 0, places > positions[..., None], others)
        return self._pass(x, which, slots, positions + column + 1, barred(hidden, x.dtype))
