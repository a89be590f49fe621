"""Decoding with thoughts: the rows of a llama, which can think behind their text and forget it again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from poise.errors import ConfigError
from poise.models.decode import Rows
from poise.models.llama import view_of
from poise.models.packed import product
from poise.models.quiet_star.model import QuietStar
from poise.models.sampling import inverse


class ThinkingRows(Rows):
    """See Rows. Thoughts are written behind the text of a row, where its next tokens will overwrite them; so a row has
    places for one thought more than its text may use. Raises ConfigError for a model that is no llama."""

    def __init__(self, thinking: QuietStar, rows: int, context: int) -> None:
        llama = view_of(thinking.model)
        if llama is None:
            raise ConfigError("model", type(thinking.model).__name__, "a llama-family model")
        self.passes = thinking.config.n_ahead - 1
        super().__init__(llama, rows, context + self.passes)
        self.thinking, self.limit = thinking, context

    @torch.inference_mode()
    def think(self, which: Tensor, states: Tensor, numbers: Tensor) -> Tensor:
        """Think behind the text of the rows `which` [n], whose last tokens have `states` [n, width]; thought tokens are
        sampled at temperature 1 by `numbers` [n, thought_tokens] in [0, 1). Returns the logits [n, vocabulary] of the
        mixed states. Cost: `passes` steps of n rows."""
        places = torch.tensor([len(self.held[row]) for row in which.tolist()])
        start, end = (mark.expand(len(which), -1) for mark in self.thinking.marks())
        state = self._place(start, which, places)
        for column in range(self.thinking.config.thought_tokens):
            shares = torch.softmax(product(state, self.model.head).float(), -1)
            tokens = inverse(shares, numbers[:, column].double())
            state = self._place(functional.embedding(tokens, self.model.embeddings), which, places + column + 1)
        thought = self._place(end, which, places + self.passes - 1)
        mixed, _ = self.thinking.mixed(states, thought)
        return product(mixed.to(states.dtype), self.model.head)
