"""Examples as people have them - dspy's, plain mappings, items of a task - made into what an optimisation learns from.
The only place of `poise.tune` that takes data whose shape it does not know."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poise.core import Kind
from poise.errors import ConfigError, UnknownName
from poise.evals.rows import Item
from poise.evals.task_spec import kind_named, kind_of
from poise.evals.tasks import Task
from poise.tune.metric import Example, Metric, MetricTask, check_metric, one_class
from poise.tune.problem import Problem

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """An item, and the example that it was made of."""

    item: Item
    example: Any


def read(examples: Iterable[Any], name: str) -> tuple[Read, ...]:
    """Items of examples: `question` and `answer`, and if there `kind` (number, choice, expression, text) and `cluster`,
    of a mapping or of an object's attributes; an Item is itself. Equal questions have equal ids, so that a set that
    teaches and one that judges cannot share one unnoticed. Raises ConfigError that names the set, the row (from 0) and
    the field, and where there is none at all."""
    if isinstance(examples, (str, bytes, Mapping)) or not isinstance(examples, Iterable):
        raise ConfigError(name, examples, "a list of examples with question and answer")
    found = tuple(_read(example, f"{name}[{row}]") for row, example in enumerate(examples))
    if not found:
        raise ConfigError(name, 0, "at least one example")
    truths: dict[str, str] = {}
    for row, each in enumerate(found):
        before = truths.setdefault(each.item.id, each.item.truth)
        if each.item.truth != before:
            raise ConfigError(f"{name}[{row}].answer", each.item.truth, f"{before}, as for the same question before")
    return found


def problem_of(
    metric: Task | Metric,
    trainset: Iterable[Any],
    valset: Iterable[Any] | None,
    seed: int,
    testset: Iterable[Any] | None = None,
) -> Problem:
    """What a metric, or the grade of a task, makes of examples. Without a `valset` the half of the trainset that `seed`
    picks judges; without a `testset` nothing tests. Raises ConfigError for examples that cannot be used, sets that
    share a question, and, where a grade compares answers, a trainset whose answers are all the same (a metric of one's
    own is warned)."""
    learn = read(trainset, "trainset")
    learn, judge = _halves(learn, seed) if valset is None else (learn, read(valset, "valset"))
    test = () if testset is None else read(testset, "testset")
    task = task_of(metric, (*learn, *judge, *test))
    items = tuple(each.item for each in learn)
    check_answers(items, refuse=not isinstance(task, MetricTask))
    return Problem(task, items, tuple(each.item for each in judge), tuple(each.item for each in test))


def task_of(metric: Task | Metric, examples: Sequence[Read]) -> Task:
    """The task that grades: itself, or by its bound `grade`, or one made of a metric and all examples that it is to
    grade. Raises ConfigError for anything else, and for a metric that can grade nothing."""
    owner: Any = getattr(metric, "__self__", None) if getattr(metric, "__name__", "") == "grade" else metric
    if hasattr(owner, "grade") and hasattr(owner, "items"):
        given: Task = owner
        return given
    if not callable(metric):
        raise ConfigError("metric", metric, "a task, or a callable metric(example, prediction, trace=None)")
    items = tuple(each.item for each in examples)
    made = MetricTask(metric, items, {each.item.id: each.example for each in examples})
    check_metric(made)
    return made


def check_answers(items: Sequence[Item], name: str = "trainset", *, refuse: bool = True) -> None:
    """ConfigError where all answers are the same, or a warning: a prompt that names that answer would be the best."""
    same = one_class(items)
    if same is None:
        return
    if refuse:
        raise ConfigError(name, f"{same} as the answer to all {len(items)}", "examples with different answers")
    _log.warning("%s: all %d answers are %r; a prompt that names it may look best", name, len(items), same)


def _halves(examples: Sequence[Read], seed: int) -> tuple[tuple[Read, ...], tuple[Read, ...]]:
    """One half learns, the other judges; a question that comes twice is in one of them only."""
    questions = sorted({each.item.question for each in examples})
    if len(questions) < 2:
        raise ConfigError("trainset", len(questions), "at least two questions, or a valset")
    random.Random(seed).shuffle(questions)
    judging = set(questions[: len(questions) // 2])
    parts = ([each for each in examples if (each.item.question in judging) is side] for side in (False, True))
    learn, judge = map(tuple, parts)
    return learn, judge


def _read(example: Any, where: str) -> Read:
    if isinstance(example, Item):
        return Read(example, example)
    fields = _Fields(example, where)
    question, answer = fields.text("question"), fields.text("answer")
    id = hashlib.sha256(question.encode()).hexdigest()[:12]
    item = Item(id, "examples", question, answer, fields.kind(answer), fields.text("cluster", id))
    return Read(item, Example(example) if isinstance(example, Mapping) else example)


@dataclass(frozen=True, slots=True)
class _Fields:
    """Of a mapping or an object, and how errors name it."""

    example: Any
    where: str

    def text(self, name: str, default: str | None = None) -> str:
        """A field as text, or ConfigError."""
        value = self._value(name)
        if value is None and default is not None:
            return default
        plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        said = str(value).strip() if plain else ""
        if not said or not _writable(said):
            raise ConfigError(f"{self.where}.{name}", value, "text that is not empty, or a number")
        return said

    def kind(self, answer: str) -> Kind:
        """As the example says, else as its answer looks."""
        value = self._value("kind")
        if value is None or isinstance(value, Kind):
            return value or kind_of(answer)
        try:
            return kind_named(str(value).lower())
        except UnknownName as error:
            raise ConfigError(f"{self.where}.kind", value, error.allowed) from None

    def _value(self, name: str) -> Any:
        if isinstance(self.example, Mapping):
            return self.example.get(name)
        return getattr(self.example, name, None)


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
