"""Measuring where thoughts save most, so that a share of places becomes a threshold (`models.quiet_star.gates`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poise.lab.batches import Encoded
from poise.models.quiet_star.gates import Gate, Unsure, gate_of, unsure
from poise.models.quiet_star.model import QuietStar
from poise.models.quiet_star.thoughts import parallel

_ROWS, _SHARE, _RIDGE = 64, 0.15, 10.0


@dataclass(frozen=True, slots=True)
class Places:
    """Places of texts: `states` [n, width] without thoughts, `doubts` [n] by kind, and the `gains` [n], in nats, of the
    token that comes next by a thought."""

    states: Tensor
    doubts: Mapping[Unsure, Tensor]
    gains: Tensor


@dataclass(frozen=True, slots=True)
class Gating:
    """The gate that captures most, and what each kind captures of the gain of thinking everywhere when it thinks about
    a share of .15 of the places, both in nats a token. `everywhere`: that gain."""

    gate: Gate
    captured: Mapping[Unsure, float]
    everywhere: float

    def told(self) -> dict[str, float]:
        """The figures, by names that say what they are."""
        captured = {f"nats gained by gate {kind.value} of .15": gain for kind, gain in self.captured.items()}
        return {"nats gained by thinking everywhere": self.everywhere} | captured


def measured_gate(model: QuietStar, rows: Sequence[Encoded], seed: int = 1) -> Gating | None:
    """Measure before every answer token of the first rows, a half of which teach the probe and the other half judge;
    None with fewer than two rows. Cost: a pass over each of at most 64, and one for each column over its answer."""
    if len(rows) < 2:
        return None
    dice = torch.Generator().manual_seed(seed)
    taught, judged = (places_of(model, rows[first:_ROWS:2], dice) for first in (0, 1))
    probe = probe_of(taught)
    gates = {kind: gate_of(kind, judged.doubts[kind].tolist()) for kind in judged.doubts}
    expected = judged.states @ probe[:-1] + probe[-1]
    gates[Unsure.GAIN] = gate_of(Unsure.GAIN, expected.tolist(), probe.tolist())
    told = {**judged.doubts, Unsure.GAIN: expected}
    captured = {kind: captured_by(doubts, judged.gains) for kind, doubts in told.items()}
    return Gating(gates[max(captured, key=captured.__getitem__)], captured, float(judged.gains.mean()))


@torch.no_grad()
def places_of(model: QuietStar, rows: Sequence[Encoded], dice: torch.Generator) -> Places:
    """What is found before every answer token of some rows."""
    states, gains, logits = list[Tensor](), list[Tensor](), list[Tensor]()
    for row in rows:
        device = model.start.device
        ids, here = torch.tensor([row.tokens], device=device), slice(row.start - 1, -1)
        at = torch.arange(row.start - 1, len(row.tokens) - 1, device=device)[None]
        numbers = torch.rand(*at.shape, model.config.thought_tokens, generator=dice)
        found = parallel(model, ids, numbers.to(device), at=at)
        wanted = ids[0, row.start :, None]
        base, mixed = model.logits(found.base[0, here]).float(), model.logits(found.mixed[0, :, 0]).float()
        likely = [torch.log_softmax(each, -1).gather(1, wanted)[:, 0] for each in (mixed, base)]
        gains.append(likely[0] - likely[1])
        states.append(found.base[0, here].float())
        logits.append(torch.stack([unsure(kind, base) for kind in (Unsure.ENTROPY, Unsure.MARGIN)]))
    doubts = torch.cat(logits, 1)
    return Places(torch.cat(states), {Unsure.ENTROPY: doubts[0], Unsure.MARGIN: doubts[1]}, torch.cat(gains))


def probe_of(places: Places) -> Tensor:
    """Ridge regression of gains on states, each number of a state scaled to one: weights and a constant [width + 1]."""
    mean, spread = places.states.mean(0), places.states.std(0).clamp(min=1e-6)
    x, y = ((places.states - mean) / spread).double(), (places.gains - places.gains.mean()).double()
    pull = _RIDGE * x.shape[1] ** 0.5 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weights = torch.linalg.solve(x.T @ x + pull, x.T @ y).float() / spread
    return torch.cat((weights, (places.gains.mean() - weights @ mean)[None]))


def captured_by(doubts: Tensor, gains: Tensor, share: float = _SHARE) -> float:
    """Nats a token gained by thinking only about the share of places with the greatest doubts."""
    chosen = doubts.argsort(descending=True)[: max(1, round(share * len(doubts)))]
    return float(gains[chosen].sum() / len(gains))
