"""Racing candidates on fresh generations: pairs on the same rows under the same seeds, in blocks, until the rows are
done or there is nothing left to race for. Pure.

A gradient names the best of three candidates hardly more often than chance does (35.6 % of 10,125 released steps of
GReaTer), so what decides is here: paired outcomes, and a bar on how sure they are. Looks on the way only leave out; who
wins is looked at once, when the race is done, because each look more would be another chance to be lucky.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poise.errors import ConfigError
from poise.search.stop import majority_probability


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate against the incumbent on the rows that both have: rows that only one of the two got right."""

    wins: int
    losses: int
    rows: int

    @property
    def gain(self) -> float:
        """Accuracy above the incumbent's, a share of the rows."""
        return (self.wins - self.losses) / self.rows if self.rows else 0.0

    @property
    def sure(self) -> float:
        """P(the candidate wins more of the rows that tell them apart), from a uniform prior; 1/2 before any does."""
        return majority_probability(self.wins, self.losses)


def standing(incumbent: Sequence[bool], candidate: Sequence[bool]) -> Standing:
    """Over the rows so far, both in the same order; what one has beyond the other's last row does not count."""
    pairs = list(zip(candidate, incumbent, strict=False))
    return Standing(pairs.count((True, False)), pairs.count((False, True)), len(pairs))


@dataclass(frozen=True, slots=True)
class Race:
    """`block`: rows before the first look; `most`: rows at most; `accept`: how sure a winner must be; `drop`: below
    this a candidate leaves the race; `keep`: the share of those in it that a look leaves there, the best, while rows at
    the next look are 1 / `keep` times as many, so that looks cost alike (successive halving: Jamieson and Talwalkar
    2016, arXiv 1502.07943; 1: all stay, a block between two looks). Races where length counts, too, leave out none for
    being behind others. Raises ConfigError."""

    block: int = 10
    most: int = 50
    accept: float = 0.8
    drop: float = 0.2
    keep: float = 1 / 3

    def __post_init__(self) -> None:
        for knob in ("block", "most"):
            if getattr(self, knob) < 1:
                raise ConfigError(knob, getattr(self, knob), "1 or more")
        if not 0 <= self.drop < self.accept <= 1:
            raise ConfigError("accept", self.accept, f"above drop = {self.drop}, up to 1")
        if not 0 < self.keep <= 1:
            raise ConfigError("keep", self.keep, "above 0, up to 1")

    def running(self, incumbent: Sequence[bool], candidates: Mapping[str, Sequence[bool]]) -> list[str]:
        """Who gets the next block of rows, in the order given; nobody once no row is left. Those that lose stay where
        they are. Of equals the first stay, so give candidates in an order that favours none."""
        if len(incumbent) >= self.most:
            return []
        told = {name: standing(incumbent, rows) for name, rows in candidates.items()}
        beside = {name: each for name, each in told.items() if each.rows == len(incumbent)}
        if not incumbent:
            return list(beside)
        hopeful = [name for name, each in beside.items() if each.sure >= self.drop]
        best = sorted(hopeful, key=lambda name: (-beside[name].gain, -beside[name].sure))[: self._left(len(beside))]
        return [name for name in hopeful if name in best]

    def answers(self, rivals: int, rows: int) -> int:
        """How many a race over so many rows takes at most, the incumbent's among them."""
        found = 0
        for block in self.blocks(rows):
            found += len(block) * (1 + rivals)
            rivals = self._left(rivals)
        return found

    def blocks(self, rows: int) -> list[range]:
        """Which of so many rows are answered before each look; the last ones at once, where they are no whole block."""
        found, first, rows = list[range](), 0, min(rows, self.most)
        while first < rows:
            end = max(first + self.block, round(first / self.keep))
            end = end if rows - end >= self.block else rows
            found.append(range(first, end))
            first = end
        return found

    def _left(self, racing: int) -> int:
        return math.ceil(racing * self.keep)

    def winner(self, incumbent: Sequence[bool], candidates: Mapping[str, Sequence[bool]]) -> str | None:
        """The candidate that gains most, if it is sure enough to gain at all, on rows that it has all of; the first of
        equals. None: the incumbent stays."""
        told = {name: standing(incumbent, rows) for name, rows in candidates.items()}
        full = {name: each for name, each in told.items() if each.rows == len(incumbent) > 0}
        best = max(full, key=lambda name: (full[name].gain, full[name].sure), default=None)
        if best is None or full[best].sure < self.accept or full[best].gain <= 0:
            return None
        return best
