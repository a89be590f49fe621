"""A metric of the dspy kind as a task: a callable that tells how good a prediction is for an example."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from poise.errors import ConfigError, DataError, ScorerError
from poise.evals.rows import Item
from poise.evals.task_spec import check_draw

RIGHT_FROM = 0.5
"""A score of so much counts as right."""
_PROBES = 3

Metric: TypeAlias = Callable[..., Any]
"""metric(example, prediction, trace=None), to a truth value, a number from 0 to 1, or an object with such a `score`."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a metric is shown: `answer` as it was read out of `text` ("" where there was none to read)."""

    answer: str
    text: str


class Example:
    """A plain example, with its fields as attributes and by subscription."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        try:
            return self._fields[name]
        except KeyError:
            raise AttributeError(f"the example has no {name!r}") from None

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]


@dataclass(frozen=True, slots=True)
class MetricTask:
    """`stored`: all examples as items; `examples`: what the metric is shown for each, by the item's id. Its name tells
    the items apart from others, so that a run does not go on over other ones."""

    metric: Metric
    stored: tuple[Item, ...]
    examples: Mapping[str, Any]
    rejected: tuple[DataError, ...] = ()

    @property
    def name(self) -> str:
        whole = "".join(f"{item.question}\x00{item.truth}\x01" for item in self.stored)
        return f"examples-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

    def items(self, limit: int, seed: int) -> list[Item]:
        check_draw(limit, seed)
        return list(self.stored[:limit])

    def grade(self, item: Item, value: str | None) -> bool:
        return self.grade_text(item, value or "", value)

    def grade_text(self, item: Item, text: str, value: str | None) -> bool:
        """Whether the metric finds a text right. Raises ScorerError, whatever the metric raises or gives."""
        try:
            found: Any = self.metric(self.examples[item.id], Prediction(value or "", text))
            score = float(found.score if hasattr(found, "score") else found)
        except Exception as error:  # the boundary of a user's code: one bad row must not end a run
            raise ScorerError(f"metric: {type(error).__name__}: {error}") from error
        if math.isnan(score):
            raise ScorerError("metric: not a number")
        return score >= RIGHT_FROM


def one_class(items: Sequence[Item]) -> str | None:
    """The answer that all items share, where more than one of them do; None otherwise."""
    answers = {item.truth for item in items}
    return items[0].truth if len(items) > 1 and len(answers) == 1 else None


def check_metric(task: MetricTask) -> None:
    """ConfigError for a metric that raises for every one of the first examples, shown their own right answers: it can
    grade nothing. Cost: up to three calls of it."""
    said = None
    for item in task.stored[:_PROBES]:
        try:
            task.grade_text(item, item.truth, item.truth)
        except ScorerError as error:
            said = error
        else:
            return
    if said is not None:
        raise ConfigError("metric", f"{said}, of a right answer", "metric(example, prediction, trace=None)") from said
