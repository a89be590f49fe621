"""When to think: a gate opens where the head is unsure, so wide that a given share of places passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from poise.core import GATE_SLACK
from poise.errors import ConfigError

RATE = 1 / GATE_SLACK
"""How fast a text that is less sure than others closes the gate: of a wanted share of .15 two places in a row pass,
then as many as should."""


class Unsure(Enum):
    """What a head's doubt is told by: the entropy of the next token, how close the second likeliest comes, or what a
    thought is expected to save there, in nats, by a linear probe on the state without thoughts."""

    ENTROPY = "entropy"
    MARGIN = "margin"
    GAIN = "gain"


@dataclass(frozen=True, slots=True)
class Gate:
    """`quantiles`: of the doubt at places of held-out text, evenly spaced from the least to the greatest, so that a
    share of places becomes a threshold. `probe`: of GAIN, a weight for each number of a state and a constant. Raises
    ConfigError for fewer than two quantiles or falling ones, and for a probe that another kind has or GAIN has not."""

    kind: Unsure
    quantiles: tuple[float, ...]
    probe: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if (self.kind is Unsure.GAIN) != bool(self.probe):
            raise ConfigError("gate.probe", len(self.probe), "the numbers of a probe, for the kind gain alone")
        if len(self.quantiles) < 2 or any(b < a for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)):
            raise ConfigError("gate.quantiles", self.quantiles, "two or more rising numbers")

    def opens(self, logits: Any, states: Any, shares: Sequence[float]) -> list[bool]:
        """Whether each row of logits [n, vocabulary], made of states [n, width], is among the `shares` [n] of least
        sure places. 0 or less opens for none and 1 or more for all, whatever the text."""
        told = self.doubts(logits, states).tolist()
        places = np.linspace(0, 1, len(self.quantiles))
        bars = np.interp([1 - share for share in shares], places, self.quantiles)
        return [share >= 1 or (share > 0 and doubt > bar) for doubt, share, bar in zip(told, shares, bars, strict=True)]

    def doubts(self, logits: Any, states: Any) -> Any:
        """The doubt [n] at each place."""
        if self.kind is not Unsure.GAIN:
            return unsure(self.kind, logits)
        probe = states.new_tensor(self.probe).float()
        return states.float() @ probe[:-1] + probe[-1]


def corrected(now: float, wanted: float, opened: bool) -> float:
    """The share to ask a gate for at a text's next place, so that `wanted` of its places pass even where its doubts are
    not those that the gate was measured on; `now`: what was asked for at this one. (Adaptive conformal inference, Gibbs
    and Candes 2021, arXiv 2106.00170, equation 2.) Of t places `wanted` * (t + 1 / RATE) + 1 pass at most, whatever the
    doubts. A wanted share of 0 or 1 stays what it is."""
    return now if wanted in (0, 1) else now + RATE * (wanted - opened)


def unsure(kind: Unsure, logits: Any) -> Any:
    """The doubt of each row of logits [n, vocabulary]: entropy in nats, or 1 minus the margin of probability."""
    import torch

    if kind is Unsure.MARGIN:
        top = torch.softmax(logits.float(), -1).topk(2, -1).values
        return 1 - (top[..., 0] - top[..., 1])
    logs = torch.log_softmax(logits.float(), -1)
    return -(logs.exp() * logs).sum(-1)


def gate_of(kind: Unsure, doubts: Any, probe: Sequence[float] = (), steps: int = 100) -> Gate:
    """The gate of measured doubts [n]."""
    quantiles = np.quantile(np.asarray(doubts, float), np.linspace(0, 1, steps + 1))
    return Gate(kind, tuple(float(q) for q in quantiles), tuple(map(float, probe)))
