"""Counting votes over answer classes (labels >= 0 in first-seen order; -1 does not vote)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leader:
    """The winning class and its share of the (weighted) vote, in [0, 1]."""

    label: int
    share: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes by class label."""

    counts: tuple[int, ...] = ()

    @classmethod
    def of(cls, classes: Sequence[int]) -> Tally:
        """Count labels; -1 is skipped."""
        counts = [0] * (max(classes, default=-1) + 1)
        for label in classes:
            if label >= 0:
                counts[label] += 1
        return cls(tuple(counts))

    def top_two(self) -> tuple[int, int]:
        """The votes of the leader and of the runner-up."""
        first, second = sorted((*self.counts, 0, 0), reverse=True)[:2]
        return first, second


def leader(classes: Sequence[int], weights: Sequence[float] | None = None) -> Leader | None:
    """The class with most votes, or with the largest sum of weights (all >= 0); the first seen wins ties. None where
    nobody votes."""
    sums: dict[int, float] = {}
    for at, label in enumerate(classes):
        if label >= 0:
            sums[label] = sums.get(label, 0.0) + (1.0 if weights is None else weights[at])
    if not sums:
        return None
    best = max(sums, key=lambda label: sums[label])
    total = sum(sums.values())
    return Leader(best, min(sums[best] / total, 1.0) if total else 1.0 / len(sums))
