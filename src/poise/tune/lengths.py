"""When a prompt with shorter answers takes the place of another: accuracy first, then length. Pure numpy.

A race with lengths is looked at once, when its rows are done, because each look more would be another chance to be
wrong. Then

1. what is better wins, as in any race: ahead on the rows that tell the two apart, P(better) at the race's bar. What is
   shown to be longer must show that it is better at the higher bar of length, or prompts would grow by luck;
2. else what is shorter wins: P(fewer tokens in the mean) at the bar of length, by a paired bootstrap over rows, and not
   worse: the hypothesis that it loses `give` of accuracy or more is rejected by Tango's paired score test at one minus
   the race's bar. So a prompt that is worse by `give` passes in about one race of five (bar .8), and never one that
   lost `give` of the rows or more.

What ships is judged again on other questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from poise.errors import ConfigError
from poise.evals.stats import Array, noninferior, resample
from poise.tune.phrases import Phrases, shipped
from poise.tune.race import Race, Standing, standing

_TIMES = 1_000  # replicates


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a prompt made of one question. `failed`: nothing came; wrong, and its tokens tell nothing."""

    right: bool
    tokens: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Lengths:
    """Answers of a candidate beside the incumbent's to the same questions, on rows where neither failed: the
    probabilities of fewer and of more tokens in the mean, and the means (0 where there is no such row)."""

    shorter: float
    longer: float
    tokens: float
    against: float


def rights(rows: Sequence[Outcome]) -> list[bool]:
    """Which were right."""
    return [row.right for row in rows]


def means(incumbent: Sequence[Outcome], candidate: Sequence[Outcome]) -> tuple[float, float]:
    """New tokens a row, of the candidate and of the incumbent, on rows where neither failed."""
    table = _table(incumbent, candidate)
    return (float(table[:, 0].mean()), float(table[:, 1].mean())) if len(table) else (0.0, 0.0)


def lengths(incumbent: Sequence[Outcome], candidate: Sequence[Outcome]) -> Lengths:
    """Over the rows so far, both in the same order, by a paired bootstrap with fixed dice. With no row that counts,
    nothing is known: both probabilities are 0."""
    table = _table(incumbent, candidate)
    if not len(table):
        return Lengths(0.0, 0.0, 0.0, 0.0)
    drawn = resample(table, range(len(table)), times=_TIMES).sums
    shorter, longer = (drawn[:, 0] < drawn[:, 1]).mean(), (drawn[:, 0] > drawn[:, 1]).mean()
    return Lengths(float(shorter), float(longer), *means(incumbent, candidate))


def _table(incumbent: Sequence[Outcome], candidate: Sequence[Outcome]) -> Array:
    pairs = zip(candidate, incumbent, strict=False)
    both = [(one.tokens, other.tokens) for one, other in pairs if not (one.failed or other.failed)]
    return np.array(both, float).reshape(-1, 2)


@dataclass(frozen=True, slots=True)
class Shorter:
    """Length as an objective. `sure`: how sure it must be that a prompt makes answers shorter; `give`: the loss of
    accuracy (a share) that must not be. `phrases`: what may be put into prompts. Raises ConfigError."""

    sure: float = 0.95
    give: float = 0.05
    phrases: Phrases = field(default_factory=shipped)

    def __post_init__(self) -> None:
        if not 0.5 <= self.sure <= 1:
            raise ConfigError("sure", self.sure, "0.5 to 1")
        if not 0 < self.give < 1:
            raise ConfigError("give", self.give, "between 0 and 1")

    def running(
        self, race: Race, incumbent: Sequence[Outcome], candidates: Mapping[str, Sequence[Outcome]]
    ) -> list[str]:
        """Who gets the next block of rows: all that are not surely behind in accuracy, and are ahead of the incumbent
        in accuracy or may be in length. Nobody once the rows are done."""
        if len(incumbent) >= race.most:
            return []
        return [name for name, rows in candidates.items() if self._hopes(race, incumbent, rows)]

    def winner(
        self, race: Race, incumbent: Sequence[Outcome], candidates: Mapping[str, Sequence[Outcome]]
    ) -> str | None:
        """Of the rows that are there when the race is done: who takes the incumbent's place. The one that gains most of
        those that are better, else the one with the fewest tokens of those that are shorter and not worse. None: the
        incumbent stays."""
        full = {name: rows for name, rows in candidates.items() if len(rows) == len(incumbent) > 0}
        told = {name: standing(rights(incumbent), rights(rows)) for name, rows in full.items()}
        sizes = {name: lengths(incumbent, rows) for name, rows in full.items()}
        better = [name for name in full if self.better(race, told[name], sizes[name])]
        if better:
            return max(better, key=lambda name: (told[name].gain, told[name].sure))
        shorter = [name for name in full if self.shorter(race, told[name], sizes[name])]
        return min(shorter, key=lambda name: sizes[name].tokens, default=None)

    def better(self, race: Race, told: Standing, size: Lengths) -> bool:
        """Whether a candidate is more accurate, as far as its length asks it to be."""
        bar = max(self.sure, race.accept) if size.longer >= self.sure else race.accept
        return told.gain > 0 and told.sure >= bar

    def shorter(self, race: Race, told: Standing, size: Lengths) -> bool:
        """Whether a candidate is shorter, and not worse."""
        if size.shorter < self.sure or not told.rows:
            return False
        return noninferior(told.wins, told.losses, told.rows, self.give) <= 1 - race.accept

    def _hopes(self, race: Race, incumbent: Sequence[Outcome], rows: Sequence[Outcome]) -> bool:
        if len(rows) != len(incumbent):
            return False
        told = standing(rights(incumbent), rights(rows))
        ahead = told.gain > 0 or not rows or lengths(incumbent, rows).shorter >= race.drop
        return ahead and told.sure >= race.drop
