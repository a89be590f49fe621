"""Whether there is anything to gain: what a prompt's own draws could be worth, before anything is spent on another.

A prompt can move probability towards answers that a model reaches at all. Where no draw of several is ever right there
is nothing to move, and where one draw is nearly always right there is no room left.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from poise import answers
from poise.core import Prompt
from poise.errors import ConfigError
from poise.evals import stats
from poise.evals.rows import Interval, Item
from poise.evals.tasks import Task
from poise.seams import Engine
from poise.search import vote
from poise.tune.budget import Spent
from poise.tune.generate import Generated, generated
from poise.tune.optimizer import TuneSettings
from poise.tune.placing import messages

ROWS, DRAWS = 20, 8
"""Questions, and draws of each, where nothing else is asked for."""
FLOOR, CEILING = 0.05, 0.95


class Room(Enum):
    """What can be said: nothing is ever reached, all is reached already, there is room, or too few rows to tell."""

    FLOOR = "floor"
    CEILING = "ceiling"
    SOME = "some"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Headroom:
    """Of `rows` questions under a prompt: the share that greedy decoding gets right, that one draw does (mean over the
    draws), that the majority of `draws` does, and that any of them does (pass@k); `gap`: any of them less one draw,
    paired. Intervals of 95 %. `failed`: answers that failed, and count as wrong; `failure`: the first of them."""

    rows: int
    draws: int
    greedy: Interval
    single: Interval
    majority: Interval
    passed: Interval
    gap: Interval
    spent: Spent
    failed: int = 0
    failure: str = ""

    @property
    def room(self) -> Room:
        """Near 0 %: at most 5 % of the questions have a right draw. Near 100 %: 95 % of single draws are right."""
        if self.passed.mean <= FLOOR:
            return Room.FLOOR
        if self.single.mean >= CEILING:
            return Room.CEILING
        return Room.SOME if self.gap.low > 0 else Room.UNSURE

    def told(self) -> str:
        """In a sentence or two."""
        passed, single = (f"{100 * each.mean:.0f} %" for each in (self.passed, self.single))
        if self.failed == self.rows * (self.draws + 1):
            return f"nothing can be said: every answer failed; the first: {self.failure}"
        words = {
            Room.FLOOR: f"nothing to gain: {self.draws} draws reach {passed} of the questions; a prompt cannot find "
            "what the model does not have",
            Room.CEILING: f"nothing to gain: one draw is right for {single} of the questions already",
            Room.SOME: f"up to {100 * self.gap.mean:.0f} points to gain [{100 * self.gap.low:.0f}, "
            f"{100 * self.gap.high:.0f}]: one draw is right for {single}, any of {self.draws} for {passed}",
            Room.UNSURE: f"too few questions to tell: one draw is right for {single}, any of {self.draws} for {passed}",
        }[self.room]
        return f"{words} ({self.failed} answers failed; the first: {self.failure})" if self.failed else words


async def headroom(
    engine: Engine, task: Task, items: Sequence[Item], settings: TuneSettings, draws: int = DRAWS
) -> Headroom:
    """Measure it for the initial prompt on these questions. No row that fails raises. Raises ConfigError for numbers
    that cannot work. Cost: draws + 1 calls a question."""
    for name, value, least in (("rows", len(items), 1), ("draws", draws, 2)):
        if value < least:
            raise ConfigError(name, value, f"{least} or more")
    sampling, began = settings.step.sampling, time.perf_counter()
    every = [item for item in items for _ in range(draws)]
    greedy = replace(sampling, temperature=0.0)

    def asked(item: Item) -> Prompt:
        return messages(item.question, settings.beginning)

    first = await generated(engine, task, items, asked, greedy, settings.seed)
    drawn = await generated(engine, task, every, asked, sampling, settings.seed + 1)
    found = measured(items, first, [drawn[start : start + draws] for start in range(0, len(drawn), draws)])
    return replace(found, spent=replace(found.spent, seconds=time.perf_counter() - began))


def measured(items: Sequence[Item], greedy: Sequence[Generated], rows: Sequence[Sequence[Generated]]) -> Headroom:
    """What outcomes say: a greedy answer and the same number of draws for each item. Pure."""
    n, draws = len(items), len(rows[0])
    right = np.array([[each.right for each in row] for row in rows], float)
    columns = np.stack([right.mean(1), right.max(1), np.ones(n)], axis=1)
    resampled = stats.resample(columns, range(n))
    votes = [_majority(item, row) for item, row in zip(items, rows, strict=True)]
    told = [*greedy, *(each for row in rows for each in row)]
    failures = [each.failure for each in told if each.failure]
    return Headroom(
        n,
        draws,
        stats.wilson(sum(each.right for each in greedy), n),
        resampled.ratio(0, 2),
        stats.wilson(sum(votes), n),
        stats.wilson(int(right.max(1).sum()), n),
        resampled.difference(1, 0, 2),
        Spent(len(told), sum(each.tokens for each in told)),
        len(failures),
        failures[0] if failures else "",
    )


def _majority(item: Item, row: Sequence[Generated]) -> bool:
    """Whether the vote of self-consistency is right: of its class, the first draft seen."""
    classes = answers.classes([each.value for each in row], item.kind)
    winner = vote.leader(classes)
    return winner is not None and row[classes.index(winner.label)].right
