"""Confidence against correctness: reliability bins and the expected calibration error (Guo 2017, arXiv 1706.04599)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from poise.evals.rows import Interval, Row
from poise.evals.stats import calibration_error, wilson

_BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence: how many, their mean confidence, the share right."""

    n: int
    confidence: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Reliability:
    """One arm's bins. `error`: the mean gap between confidence and accuracy, weighted by answers."""

    arm: str
    n: int
    bins: tuple[Bin, ...]
    error: float


def reliability(rows: Mapping[str, Sequence[Row]]) -> list[Reliability]:
    """Arms whose stated confidence varies, in up to ten bins of equal mass; equal confidences share a bin."""
    found = []
    for arm, answered in rows.items():
        said = [(row.confidence, row.correct) for row in answered if row.confidence is not None]
        confidence, right = np.array([c for c, _ in said]), np.array([r for _, r in said])
        if len(set(confidence.tolist())) < 2:
            continue
        below = np.searchsorted(np.sort(confidence), confidence, side="left")
        code = below * _BINS // len(confidence)
        bins = [
            Bin(
                int(inside.sum()), float(confidence[inside].mean()), wilson(int(right[inside].sum()), int(inside.sum()))
            )
            for inside in (code == number for number in np.unique(code))
        ]
        found.append(Reliability(arm, len(said), tuple(bins), calibration_error(confidence.tolist(), right.tolist())))
    return found
