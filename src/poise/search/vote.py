"""Vote arithmetic over class indices: 0, 1, ... in first-seen order, -1 for a draft without a value.

A draft without a value never votes as a class, but it counts among the drawn, so it lowers the winner's share. The
class seen first wins ties: its index is the smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Winner(NamedTuple):
    """The leading class, its votes (or weight), and their share of all that was drawn, in [0, 1]."""

    label: int
    votes: float
    share: float


def counts(classes: Sequence[int], weights: Sequence[float] | None = None) -> list[float]:
    """Votes per class, or sums of weights >= 0 where given."""
    totals = [0.0] * (max(classes, default=-1) + 1)
    for label, weight in zip(classes, [1.0] * len(classes) if weights is None else weights, strict=True):
        if label >= 0:
            totals[label] += weight
    return totals


def leader(classes: Sequence[int], weights: Sequence[float] | None = None) -> Winner | None:
    """Who wins a majority vote, or a weighted one; None when nobody voted."""
    totals = counts(classes, weights)
    if not totals:
        return None
    label = totals.index(max(totals))
    drawn = sum(weights) if weights is not None else len(classes)
    return Winner(label, totals[label], min(totals[label] / drawn, 1.0) if drawn else 0.0)


@dataclass(slots=True)
class Tally:
    """A running vote in O(1) a vote: `counts` by class, `drawn` (drafts without a value included), and the two largest
    counts as `first` >= `second`. Weights must not be negative."""

    counts: list[float] = field(default_factory=list)
    drawn: int = 0
    leader: int = -1
    first: float = 0.0
    second: float = 0.0

    @classmethod
    def of(cls, classes: Iterable[int]) -> Tally:
        """The tally of votes cast in this order."""
        tally = cls()
        for label in classes:
            tally.add(label)
        return tally

    def add(self, label: int, weight: float = 1.0) -> None:
        """Count one draft; -1 has no vote."""
        self.drawn += 1
        if label < 0:
            return
        self.counts.extend([0.0] * (label + 1 - len(self.counts)))
        count = self.counts[label] = self.counts[label] + weight
        if label == self.leader:
            self.first = count
        elif count > self.first or self.leader < 0 or (count == self.first and label < self.leader):
            self.leader, self.first, self.second = label, count, self.first
        else:
            self.second = max(self.second, count)

    def top_two(self) -> tuple[int, int]:
        """The votes of the leading class and of the next, for unweighted tallies."""
        return int(self.first), int(self.second)

    @property
    def wins_ties(self) -> bool:
        """Whether the leader was seen before every class with as many votes as the runner-up."""
        return self.second not in self.counts[: max(self.leader, 0)]
