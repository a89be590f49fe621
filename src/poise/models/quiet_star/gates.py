"""When to think: a gate opens where the head is unsure, so wide that a given share of places passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from poise.errors import ConfigError


class Unsure(Enum):
    """What a head's doubt is told by: the entropy of the next token, or how close the second likeliest comes."""

    ENTROPY = "entropy"
    MARGIN = "margin"


@dataclass(frozen=True, slots=True)
class Gate:
    """`quantiles`: of the doubt at places of held-out text, evenly spaced from the least to the greatest, so that a
    share of places becomes a threshold. Raises ConfigError for fewer than two, or falling ones."""

    kind: Unsure
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.quantiles) < 2 or any(b < a for a, b in zip(self.quantiles, self.quantiles[1:], strict=False)):
            raise ConfigError("gate.quantiles", self.quantiles, "two or more rising numbers")

    def opens(self, logits: Any, shares: Sequence[float]) -> list[bool]:
        """Whether each row of logits [n, vocabulary] is among the `shares` [n] of least sure places. 0 opens for none
        and 1 for all, whatever the text."""
        told = unsure(self.kind, logits).tolist()
        places = np.linspace(0, 1, len(self.quantiles))
        bars = np.interp([1 - share for share in shares], places, self.quantiles)
        return [share == 1 or (share > 0 and doubt > bar) for doubt, share, bar in zip(told, shares, bars, strict=True)]


def unsure(kind: Unsure, logits: Any) -> Any:
    """The doubt of each row of logits [n, vocabulary]: entropy in nats, or 1 minus the margin of probability."""
    import torch

    if kind is Unsure.MARGIN:
        top = torch.softmax(logits.float(), -1).topk(2, -1).values
        return 1 - (top[..., 0] - top[..., 1])
    logs = torch.log_softmax(logits.float(), -1)
    return -(logs.exp() * logs).sum(-1)


def gate_of(kind: Unsure, doubts: Any, steps: int = 100) -> Gate:
    """The gate of measured doubts [n]."""
    return Gate(kind, tuple(float(q) for q in np.quantile(np.asarray(doubts, float), np.linspace(0, 1, steps + 1))))
