"""Decoding with any causal language model of `transformers`: what is admitted together is decoded together, with the
model's own cache, until its last sequence ends. Slower than `poise.models.decode`, and for every architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from poise.models.decode import Admitted


class Gangs:
    """The same face as `poise.models.decode.Rows`: living rows are 0 to `active - 1`. One gang per admitted prompt; its
    copies share the prompt's keys by repetition. Rows keep their order; an ended row leaves its gang at once."""

    def __init__(self, model: Any, rows: int, context: int) -> None:
        self.model, self.size, self.context, self.active = model, rows, context, 0
        self.limit, self.states = context, None
        self._gangs: list[_Gang] = []

    @torch.inference_mode()
    def admit(self, prompts: Sequence[tuple[Sequence[int], int]]) -> Admitted:
        """See Rows.admit. One forward pass per prompt; no prefix is shared between gangs."""
        if self.active + sum(copies for _, copies in prompts) > self.size:
            raise ValueError("no room")
        read = [self._gang(tokens, copies) for tokens, copies in prompts]
        return Admitted(torch.stack(read), (0,) * len(prompts))

    def _gang(self, tokens: Sequence[int], copies: int) -> Tensor:
        if len(tokens) > self.context:
            raise ValueError("no room")
        ids = torch.tensor([list(tokens)], device=self.model.device)
        out = self.model(input_ids=ids, use_cache=True)
        cache = out.past_key_values
        if copies > 1:
            cache.batch_repeat_interleave(copies)
        self._gangs.append(_Gang(cache, copies))
        self.active += copies
        logits: Tensor = out.logits[0, -1].float()
        return logits

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """See Rows.step; one forward pass per gang."""
        logits, start = [], 0
        for gang in self._gangs:
            if start == len(tokens):
                break
            part = tokens[start : start + gang.rows, None].to(self.model.device)
            out = self.model(input_ids=part, past_key_values=gang.cache, use_cache=True)
            logits.append(out.logits[:, -1].float())
            start += gang.rows
        return torch.cat(logits)

    def retire(self, row: int, riders: list[Any]) -> None:
        """End a living row; those behind it move up by one, in the gangs and in `riders` (one a living row)."""
        start = 0
        for gang in self._gangs:
            if row < start + gang.rows:
                gang.leave(row - start)
                break
            start += gang.rows
        self._gangs = [gang for gang in self._gangs if gang.rows]
        del riders[row]
        self.active -= 1


class _Gang:
    def __init__(self, cache: Any, rows: int) -> None:
        self.cache, self.rows = cache, rows

    def leave(self, row: int) -> None:
        self.rows -= 1
        if self.rows:
            self.cache.batch_select_indices(torch.tensor([place for place in range(self.rows + 1) if place != row]))
