"""Particle filters: weights from scores, and systematic resampling. Pure: chance is an argument."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_EDGE = 1e-6


def odds(scores: Sequence[float]) -> NDArray[np.float64]:
    """softmax(logit(score)): score / (1 - score), normalised (Puri et al. 2025, arXiv 2502.01618, section 3)."""
    clipped = np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1 - _EDGE)
    weights = clipped / (1 - clipped)
    return np.asarray(weights / weights.sum())


def systematic(weights: Sequence[float] | NDArray[np.float64], particles: int, offset: float) -> list[int]:
    """How many copies each particle gets: `particles` evenly spaced pointers, the first at `offset` in [0, 1), on the
    line of the weights. Unbiased for a uniform offset, and within one of `particles` x weight."""
    array = np.asarray(weights, dtype=np.float64)
    ends = np.cumsum(array) / array.sum()
    ends[-1] = 1.0
    pointers = (np.arange(particles) + offset) / particles
    picked = np.searchsorted(ends, pointers, side="right")
    return [int(count) for count in np.bincount(np.minimum(picked, len(array) - 1), minlength=len(array))]
