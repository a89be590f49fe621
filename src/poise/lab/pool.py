"""A pool in memory: every question with its drafts and grades, and what votes over them are worth."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from poise.core import Draft, Kind, Request, Step
from poise.costs import Card
from poise.errors import DataError
from poise.evals import stats
from poise.evals.rows import Interval, Item
from poise.records import Json
from poise.store.pool_dir import ITEMS, PoolDir, PooledDraw, PoolSettings
from poise.strategies.base import voted


@dataclass(frozen=True, slots=True)
class PooledItem:
    """One question and its draws, in order of their index."""

    item: Item
    draws: tuple[PooledDraw, ...]

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """What the draws returned."""
        return tuple(draw.draft for draw in self.draws)

    @property
    def grades(self) -> tuple[bool, ...]:
        """Whether each draft is right."""
        return tuple(draw.correct for draw in self.draws)

    def majority(self, n: int | None = None, weights: Sequence[float] | None = None) -> bool:
        """Whether the majority of the first `n` draws (all of them) is right, by the vote of self-consistency, or that
        of weighted_vote where `weights` are given, one a draw."""
        draws = self.draws[:n]
        steps = [Step(place, 0, draw.draft, draw.value) for place, draw in enumerate(draws, 1)]
        pick = voted(Request.ask(self.item.question, self.item.kind), steps, weights)
        return pick is not None and draws[pick.step.id - 1].correct


@dataclass(frozen=True, slots=True)
class Pool:
    """What a pool holds. Questions without a draw yet are left out."""

    settings: PoolSettings
    card: Card
    items: tuple[PooledItem, ...]


@dataclass(frozen=True, slots=True)
class PoolScore:
    """One task: `single` is the mean over draws (bootstrap over clusters of questions), `majority` the vote over all
    draws of a question, `passed` the share of questions with at least one right draw. `new_tokens`: mean of a draw."""

    task: str
    questions: int
    draws: int
    single: Interval
    majority: Interval
    passed: Interval
    new_tokens: float


@dataclass(frozen=True, slots=True)
class Gain:
    """What the majority of all draws gains over a single draw, each draw of a question counting as a single one: the
    mean over `questions`, in shares, with a bootstrap interval and the p-value of a sign-flip test over clusters."""

    questions: int
    difference: Interval
    p_value: float


def read_pool(folder: str | os.PathLike[str]) -> Pool:
    """Read a pool, finished or not; see `PoolDir.draws` for what it costs. Raises DataError when there is none, or a
    broken one."""
    store = PoolDir(folder)
    settings, card = store.settings, store.card
    drawn: dict[str, dict[int, PooledDraw]] = {}
    for draw in store.draws():
        drawn.setdefault(draw.item, {})[draw.index] = draw
    items = tuple(
        PooledItem(item, tuple(draw for _, draw in sorted(drawn[item.id].items())))
        for item in read_items(store)
        if item.id in drawn
    )
    return Pool(settings, card, items)


def without(pool: Pool, other: Pool) -> Pool:
    """A pool less the questions that another holds too."""
    asked = {one.item.question for one in other.items}
    return dataclasses.replace(pool, items=tuple(one for one in pool.items if one.item.question not in asked))


def items_to_json(items: Sequence[Item]) -> Json:
    """For items.json."""
    return {"items": [{**dataclasses.asdict(item), "kind": item.kind.value} for item in items]}


def read_items(store: PoolDir) -> list[Item]:
    """The questions of a pool, in the order they are asked. Raises DataError for a broken file."""
    data = store.read(ITEMS) or {"items": []}
    try:
        return [Item(**{**item, "kind": Kind(item["kind"])}) for item in data["items"]]
    except (KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        raise DataError(str(store.path / ITEMS), 0, said, "items as Poise writes them") from error


def scores(pool: Pool) -> list[PoolScore]:
    """Each task in the order of its first question, then all of them where there is more than one."""
    by_task: dict[str, list[PooledItem]] = {}
    for one in pool.items:
        by_task.setdefault(one.item.task, []).append(one)
    found = [_score(task, items) for task, items in by_task.items()]
    return found + ([_score("all", pool.items)] if len(found) > 1 else [])


def gain(pool: Pool) -> Gain:
    """Majority against single draws, over all tasks. Raises DataError for a pool without draws."""
    if not pool.items:
        raise DataError("pool", 0, "no draws", "at least one question with draws")
    gains = np.array([one.majority() - sum(one.grades) / len(one.draws) for one in pool.items])
    clusters = [(one.item.task, one.item.cluster) for one in pool.items]
    table = np.stack([np.ones(len(gains)), gains], axis=1)
    difference = stats.resample(table, clusters).ratio(1, over=0)
    return Gain(len(gains), difference, stats.sign_flip(gains, clusters))


def _score(task: str, items: Sequence[PooledItem]) -> PoolScore:
    table = np.array([[len(one.draws), sum(one.grades)] for one in items], float)
    draws = int(table[:, 0].sum())
    return PoolScore(
        task,
        questions=len(items),
        draws=draws,
        single=stats.resample(table, [(one.item.task, one.item.cluster) for one in items]).ratio(1, over=0),
        majority=stats.wilson(sum(one.majority() for one in items), len(items)),
        passed=stats.wilson(sum(any(one.grades) for one in items), len(items)),
        new_tokens=sum(draw.draft.tokens for one in items for draw in one.draws) / draws,
    )
