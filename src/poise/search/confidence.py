"""How sure a draft's own tokens were: means of per-token confidence over windows. Higher is surer."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

_FLOOR = -100.0  # servers write impossible tokens as -inf, or as -9999
_SLACK = 1e-9  # a running sum drifts by less


class Span(Enum):
    """Which tokens count: all, the last `window`, or the `window` with the lowest mean."""

    MEAN = "mean"
    TAIL = "tail"
    LOWEST = "lowest"


def per_token(logprobs: Sequence[float], alternatives: Sequence[Sequence[float]] = (), top: int = 0) -> list[float]:
    """One confidence a token. `top` = 0: the logprob of the chosen token, at most 0. Else minus the mean logprob of the
    `top` likeliest candidates (DeepConf, Fu et al. 2025, arXiv 2508.15260, section 2), at least 0: large where one
    candidate has nearly all the mass, because the others are then very unlikely."""
    if not top:
        return [max(logprob, _FLOOR) for logprob in logprobs]
    return [-sum(max(each, _FLOOR) for each in tops[:top]) / len(tops[:top]) for tops in alternatives if tops]


def windowed(confidences: Sequence[float], span: Span, window: int) -> float:
    """The mean over a span of at least one token; a text shorter than the window is one window."""
    values = np.asarray(confidences, dtype=np.float64)
    if span is Span.TAIL:
        return float(values[-window:].mean())
    if span is Span.LOWEST and len(values) > window:
        sums = np.cumsum(np.concatenate(([0.0], values)))
        return float((sums[window:] - sums[:-window]).min() / window)
    return float(values.mean())


def probability(mean_logprob: float) -> float:
    """The geometric mean probability, in [0, 1]."""
    return min(math.exp(mean_logprob), 1.0)


def threshold(confidences: Sequence[float], keep: float) -> float:
    """The confidence that a share of at least `keep` reaches, without interpolation: the lowest of the best
    ceil(keep * n). -inf where there is none."""
    ranked = sorted(confidences, reverse=True)
    return ranked[max(math.ceil(keep * len(ranked) - _SLACK), 1) - 1] if ranked else -math.inf


def below(confidence: float, bar: float) -> bool:
    """Whether a confidence misses a bar by more than rounding."""
    return confidence < bar - _SLACK


@dataclass(slots=True)
class Sliding:
    """The mean of the last `window` values, in O(1) a value."""

    window: int
    _values: deque[float] = field(default_factory=deque)
    _total: float = 0.0

    def add(self, value: float) -> float | None:
        """Take one value; the mean of the window that it ends, or None until a window is full."""
        self._values.append(value)
        self._total += value
        if len(self._values) > self.window:
            self._total -= self._values.popleft()
        return self._total / self.window if len(self._values) == self.window else None
