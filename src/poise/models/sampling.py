"""Choosing tokens for many sequences at once, each by its own seed: inverse transform sampling, one uniform number per
token from a counter-based generator, so that a draw does not depend on what it shares its batch with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

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
    """One token per row of logits [rows, vocabulary]. `numbers`: a uniform number per row. Greedy rows (temperature 0)
    take the likeliest token. Cost: a few passes over the logits in float32; a sort only where top_p < 1."""
    device = logits.device
    heats = [sampling.temperature for sampling in samplings]
    shares = _shares(logits, heats) if any(heats) else None
    if shares is None:
        return told(logits, logits.argmax(-1), samplings)
    tokens = inverse(_narrowed(shares, samplings), torch.tensor(numbers, dtype=torch.float64, device=device))
    if greedy := [row for row, heat in enumerate(heats) if heat == 0]:
        tokens[greedy] = logits[greedy].argmax(-1)
    return told(logits, tokens, samplings, shares if all(heat == 1 for heat in heats) else None)


def told(logits: Tensor, tokens: Tensor, samplings: Sequence[Sampling], shares: Tensor | None = None) -> Choice:
    """What the samplings want to know of chosen tokens [rows]. `shares`: the softmax of the logits, if it is there."""
    most = max((sampling.top_logprobs or 0 for sampling in samplings), default=0)
    if all(sampling.top_logprobs is None for sampling in samplings):
        return Choice(tokens, torch.zeros(len(tokens)), None)
    if shares is not None:
        logprobs = _log(shares.gather(1, tokens[:, None])[:, 0])
        return Choice(tokens, logprobs, _log(shares.topk(most, -1).values) if most else None)
    total = torch.logsumexp(logits.float(), -1, keepdim=True)
    logprobs = (logits.gather(1, tokens[:, None]) - total)[:, 0]
    return Choice(tokens, logprobs, logits.topk(most, -1).values - total if most else None)


def weights(logits: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """The chance of every token to be chosen [rows, vocabulary], by temperature and top_p."""
    found = _narrowed(_shares(logits, [sampling.temperature for sampling in samplings]), samplings)
    greedy = [row for row, sampling in enumerate(samplings) if sampling.temperature == 0]
    if greedy:
        found[greedy] = functional.one_hot(logits[greedy].argmax(-1), logits.shape[-1]).to(found)
    return found / found.sum(-1, keepdim=True)


def verified(drafts: Tensor, drafted: Tensor, wanted: Tensor, numbers: Sequence[tuple[float, float]]) -> list[int]:
    """Tokens that are distributed as `wanted`, though they were drafted from something else (Leviathan et al. 2022,
    2211.17192, algorithm 1). `drafts` [k]; `drafted` [k, vocabulary]: the chances that they were drawn by; `wanted`
    [k + 1, vocabulary]: those wanted after each of them; `numbers` k + 1 pairs, uniform in [0, 1): to keep a draft by,
    and to draw again by. The drafts up to the first that is not kept, and one token more."""
    made = list[int]()
    for place, token in enumerate(drafts.tolist()):
        keep, again = numbers[place]
        if keep * float(drafted[place, token]) < float(wanted[place, token]):
            made.append(token)
            continue
        rest = (wanted[place] - drafted[place]).clamp(min=0)
        return [*made, int(inverse(rest[None], wanted.new_tensor([again], dtype=torch.float64)))]
    return [*made, int(inverse(wanted[-1:], wanted.new_tensor([numbers[-1][1]], dtype=torch.float64)))]


def _shares(logits: Tensor, heats: Sequence[float]) -> Tensor:
    """Softmax at each row's temperature, in float32."""
    if all(heat == 1 for heat in heats):
        return torch.softmax(logits, -1, dtype=torch.float32)
    heat = torch.tensor([max(heat, 1e-6) for heat in heats], device=logits.device)
    return torch.softmax(logits.float() / heat[:, None], -1)


def _log(shares: Tensor) -> Tensor:
    return shares.clamp_min(torch.finfo(shares.dtype).tiny).log()


def inverse(shares: Tensor, numbers: Tensor) -> Tensor:
    """The first token at which the summed shares pass the number; sums in two levels, the outer one in float64."""
    rows, vocabulary = shares.shape
    width = 256
    if vocabulary % width:
        shares = functional.pad(shares, (0, -vocabulary % width))
    split = shares.view(rows, -1, width)
    blocks = split.sum(-1).double().cumsum(-1)
    wanted = numbers[:, None] * blocks[:, -1:]
    block = torch.searchsorted(blocks, wanted, right=True).clamp_(max=blocks.shape[1] - 1)
    before = torch.where(block > 0, blocks.gather(1, (block - 1).clamp(min=0)), 0.0)
    inside = split[torch.arange(rows, device=shares.device), block[:, 0]].double().cumsum(-1)
    place = torch.searchsorted(inside, wanted - before, right=True).clamp_(max=width - 1)
    return (block * width + place)[:, 0].clamp_(max=vocabulary - 1)


def _narrowed(shares: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Shares with what top_p leaves out set to 0, where a row has a top_p and is not greedy."""
    narrow = [row for row, sampling in enumerate(samplings) if 0 < sampling.top_p < 1 and sampling.temperature]
    if not narrow:
        return shares
    found = shares.clone()
    for row in narrow:
        found[row] = _nucleus(shares[row], samplings[row].top_p)
    return found


def _nucleus(shares: Tensor, top_p: float) -> Tensor:
    """Shares with all but the likeliest tokens that sum to `top_p` set to 0 (Holtzman et al. 2019, 1904.09751)."""
    ordered, places = shares.sort(descending=True)
    kept = ordered.cumsum(0) - ordered < top_p
    return torch.zeros_like(shares).scatter_(0, places[kept], ordered[kept])


def seed_of(seed: int | None, index: int) -> int | None:
    """The seed of sample `index` of one call; a draw alone (index 0) has the call's own."""
    return seed if seed is None or index == 0 else (seed * 1_000_003 + index) & (1 << 63) - 1
