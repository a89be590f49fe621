"""Choosing tokens for many sequences at once, each by its own seed: inverse transform sampling, one uniform number per
token from a counter-based generator, so that a draw does not depend on what it shares its batch with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from poise.core import Sampling


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice per row: tokens and their logprobs [rows] (of the model, before temperature; zeros where no row asked
    for any), and the logprobs of the most likely tokens [rows, k] where any row asked for them."""

    tokens: Tensor
    logprobs: Tensor
    alternatives: Tensor | None


class Dice:
    """The uniform numbers of one draw: the k-th is a function of the seed and k alone."""

    __slots__ = ("_numbers", "_source")

    def __init__(self, seed: int | None) -> None:
        self._source = np.random.Generator(np.random.Philox(seed))
        self._numbers = self._source.random(64)

    def number(self, place: int) -> float:
        """The number of the token at `place`, in [0, 1)."""
        while place >= len(self._numbers):
            self._numbers = np.concatenate([self._numbers, self._source.random(len(self._numbers))])
        return float(self._numbers[place])


def choose(logits: Tensor, samplings: Sequence[Sampling], numbers: Sequence[float]) -> Choice:
    """One token per row of logits [rows, vocabulary] (float32). `numbers`: a uniform number per row. Greedy rows
    (temperature 0) take the likeliest token. Cost: a few passes over the logits; a sort only where top_p < 1."""
    device = logits.device
    greedy = torch.tensor([sampling.temperature == 0 for sampling in samplings], device=device)
    tokens = logits.argmax(-1)
    if not bool(greedy.all()):
        heat = torch.tensor([max(sampling.temperature, 1e-6) for sampling in samplings], device=device)
        # Shares up to a factor: what is drawn is scaled by their sum, so nothing need be normalised.
        weights = ((logits - logits.gather(1, tokens[:, None])) / heat[:, None]).exp_()
        for row in (row for row, sampling in enumerate(samplings) if 0 < sampling.top_p < 1 and not greedy[row]):
            weights[row] = _nucleus(weights[row] / weights[row].sum(), samplings[row].top_p)
        drawn = _inverse(weights, torch.tensor(numbers, dtype=torch.float64, device=device))
        tokens = torch.where(greedy, tokens, drawn)
    told = torch.logsumexp(logits, -1) if any(sampling.top_logprobs is not None for sampling in samplings) else None
    logprobs = torch.zeros(len(tokens)) if told is None else logits.gather(1, tokens[:, None])[:, 0] - told
    most = max((sampling.top_logprobs or 0 for sampling in samplings), default=0)
    alternatives = logits.topk(most, -1).values - told[:, None] if most and told is not None else None
    return Choice(tokens, logprobs, alternatives)


def _inverse(shares: Tensor, numbers: Tensor) -> Tensor:
    """The first token at which the summed shares pass the number; sums in two levels, the outer one in float64."""
    rows, vocabulary = shares.shape
    width = 256
    padded = torch.nn.functional.pad(shares, (0, -vocabulary % width)).view(rows, -1, width)
    blocks = padded.sum(-1).double().cumsum(-1)
    wanted = numbers[:, None] * blocks[:, -1:]
    block = torch.searchsorted(blocks, wanted, right=True).clamp_(max=blocks.shape[1] - 1)
    before = torch.where(block > 0, blocks.gather(1, (block - 1).clamp(min=0)), 0.0)
    inside = padded[torch.arange(rows, device=shares.device), block[:, 0]].double().cumsum(-1)
    place = torch.searchsorted(inside, wanted - before, right=True).clamp_(max=width - 1)
    return (block * width + place)[:, 0].clamp_(max=vocabulary - 1)


def _nucleus(shares: Tensor, top_p: float) -> Tensor:
    """Shares with all but the likeliest tokens that sum to `top_p` set to 0 (Holtzman et al. 2019, 1904.09751)."""
    ordered, places = shares.sort(descending=True)
    kept = ordered.cumsum(0) - ordered < top_p
    return torch.zeros_like(shares).scatter_(0, places[kept], ordered[kept])


def seed_of(seed: int | None, index: int) -> int | None:
    """The seed of sample `index` of one call; a draw alone (index 0) has the call's own."""
    return seed if seed is None or index == 0 else (seed * 1_000_003 + index) & (1 << 63) - 1
