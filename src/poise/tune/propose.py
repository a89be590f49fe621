"""Which tokens could stand at a place of a prompt: those that the model itself finds likely there. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.tune.padded import padded

LOOKAHEAD = 5
"""Tokens of the prompt behind a candidate that tell whether it fits in front of them."""
FEWEST = 6
"""Candidates that the faithful way looks for, besides the prompt's own token."""


class Proposer:
    """A frozen causal model of `transformers`; `safe`: whether token ids survive being written and read again (a
    prompt is kept as text)."""

    def __init__(self, model: Any, safe: Callable[[Sequence[int]], bool] = lambda ids: True) -> None:
        self._model, self._safe = model, safe

    @torch.no_grad()
    def shared(self, befores: Sequence[Sequence[int]], prompt: Sequence[int], place: int, k: int = 10) -> list[int]:
        """As GReaTer's code does: the k likeliest tokens behind each row's text and the prompt up to the place, those
        that all rows share; k grows until there are six. The prompt's own token comes first. Cost: one forward pass
        over the rows."""
        likely = self._next([[*before, *prompt[:place]] for before in befores])
        ranks = likely.argsort(-1, descending=True)
        most = likely.shape[-1]
        found: list[int] = []
        while True:
            sets = [set(row[:k].tolist()) for row in ranks]
            common = set.intersection(*sets)
            order = likely.mean(0)
            found = sorted(common, key=lambda token: -float(order[token]))
            found = [token for token in found if self._fits(prompt, place, token)]
            if len(found) >= FEWEST or k >= most:
                break
            k = min(2 * k, most)
        return [prompt[place], *(token for token in found if token != prompt[place])]

    @torch.no_grad()
    def fitting(
        self, befores: Sequence[Sequence[int]], prompt: Sequence[int], place: int, count: int, pool: int = 32
    ) -> list[int]:
        """From both sides: the `count` tokens of the largest log p(c | what is before) + log p(the next tokens of the
        prompt | ..., c), mean over rows, out of the `pool` that are likeliest from the left. The prompt's own token
        comes first. Cost: one forward pass over the rows, and `pool` more where prompt stands behind."""
        if count < 1 or pool < count:
            raise ConfigError("count", count, f"1 to pool = {pool}")
        left = self._next([[*before, *prompt[:place]] for before in befores]).mean(0)
        order = (int(token) for token in left.argsort(descending=True))
        some = []
        for token in order:
            if token != prompt[place] and self._fits(prompt, place, token):
                some.append(token)
            if len(some) == pool:
                break
        behind = prompt[place + 1 : place + 1 + LOOKAHEAD]
        scores = {token: float(left[token]) for token in some}
        if behind:
            for token in some:
                texts = [[*before, *prompt[:place], token, *behind] for before in befores]
                scores[token] += float(self._told(texts, len(behind)).mean())
        best = sorted(some, key=lambda token: -scores[token])[:count]
        return [prompt[place], *best]

    def _fits(self, prompt: Sequence[int], place: int, token: int) -> bool:
        return self._safe([*prompt[:place], token, *prompt[place + 1 :]])

    def _next(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Log-probabilities [texts, vocabulary] of the token after each text."""
        logits, lengths = self._logits(texts)
        return torch.log_softmax(logits[torch.arange(len(texts)), lengths - 1].float(), -1)

    def _told(self, texts: Sequence[Sequence[int]], count: int) -> Tensor:
        """The log-probability [texts] of the last `count` tokens of each text."""
        logits, lengths = self._logits(texts)
        found = []
        for number, text in enumerate(texts):
            end = int(lengths[number])
            likely = torch.log_softmax(logits[number, end - count - 1 : end - 1].float(), -1)
            wanted = torch.tensor(text[-count:], device=likely.device)
            found.append(likely.gather(1, wanted[:, None]).sum())
        return torch.stack(found)

    def _logits(self, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        ids, there = padded(texts, self._model.get_input_embeddings().weight.device)
        logits: Tensor = self._model(input_ids=ids, attention_mask=there, use_cache=False).logits
        return logits, there.sum(1)


def survives(tokenizer: Any) -> Callable[[Sequence[int]], bool]:
    """Whether ids come back the same when they are written as text and read again."""

    def same(ids: Sequence[int]) -> bool:
        text = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        back: list[int] = tokenizer(text, add_special_tokens=False).input_ids
        return back == list(ids)

    return same
