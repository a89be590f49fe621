"""What thoughts are worth on held-out answers: nats saved, and values that greedy decoding gets right, with and without
them, place by place along the true answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.lab.batches import Encoded
from poise.models.quiet_star.model import QuietStar
from poise.models.quiet_star.thoughts import parallel


@dataclass(frozen=True, slots=True)
class Judged:
    """One example: the `tokens` of its answer, the end of the turn included, their nats without (`base`) and with
    thoughts (`mixed`), and whether greedy decoding says exactly them."""

    tokens: int
    base: float
    mixed: float
    base_right: bool
    mixed_right: bool


@torch.no_grad()
def judged(
    model: QuietStar, rows: Sequence[Encoded], *, seed: int = 1, filler: int | None = None, batch: int = 16
) -> list[Judged]:
    """Of each example, in their order; thoughts are sampled, once, by `seed`, or all `filler` (see `parallel`). Greedy
    decoding says an answer exactly where each of its tokens is the likeliest behind the true ones before it, so nothing
    need be decoded. Raises ConfigError for an example without an answer. Cost: 1 + columns passes over each."""
    if any(row.start >= len(row.tokens) for row in rows):
        raise ConfigError("rows", len(rows), "examples that have an answer")
    found = list[Judged]()
    for first in range(0, len(rows), batch):
        some = rows[first : first + batch]
        dice = torch.Generator().manual_seed(seed * 1_000_003 + first)
        ids, at, there = (part.to(model.start.device) for part in _answers(some))
        numbers = torch.rand(*at.shape, model.config.thought_tokens, generator=dice).to(ids.device)
        told = parallel(model, ids, numbers, filler=filler, at=at)
        wanted = ids.gather(1, at + 1)
        base = _told(model, told.base.gather(1, at[..., None].expand(-1, -1, told.base.shape[-1])), wanted, there)
        mixed = _told(model, told.mixed[:, :, 0], wanted, there)
        found += [Judged(int(n), b, m, x, y) for n, (b, x), (m, y) in zip(there.sum(1), base, mixed, strict=True)]
    return found


def _answers(rows: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids [rows, longest]; the places before the tokens of each answer [rows, longest answer], the first again
    where there are fewer; and which of those are meant."""
    longest, most = max(len(row.tokens) for row in rows), max(len(row.tokens) - row.start for row in rows)
    ids, at = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), most, dtype=torch.long)
    there = torch.zeros(len(rows), most, dtype=torch.bool)
    for number, row in enumerate(rows):
        count = len(row.tokens) - row.start
        ids[number, : len(row.tokens)] = torch.tensor(row.tokens)
        at[number] = row.start - 1
        at[number, :count] = torch.arange(row.start - 1, len(row.tokens) - 1)
        there[number, :count] = True
    return ids, at, there


def _told(model: QuietStar, states: Tensor, wanted: Tensor, there: Tensor) -> list[tuple[float, bool]]:
    """Of each row the nats of its tokens, and whether each is the likeliest."""
    told = []
    for row, (targets, mask) in enumerate(zip(wanted, there, strict=True)):
        likely = torch.log_softmax(model.logits(states[row]).float(), -1)
        nats = -likely.gather(1, targets[:, None])[:, 0]
        right = (likely.argmax(-1) == targets) | ~mask
        told.append((float((nats * mask).sum()), bool(right.all())))
    return told
