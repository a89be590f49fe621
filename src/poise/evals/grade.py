"""A grade: what a trace shows, against the truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from poise.errors import ConfigError
from poise.evals.rows import Item, Row
from poise.evals.tasks import Task, load_task
from poise.records import Json
from poise.trace import Opened, Picked, Trace


@dataclass(frozen=True, slots=True)
class Question:
    """An item and the task that can grade it."""

    task: Task
    item: Item


def questions_of(tasks: Sequence[str], limit: int, seed: int) -> dict[str, Question]:
    """The first `limit` items of each task, by id. Raises ConfigError where two tasks share one."""
    questions: dict[str, Question] = {}
    for task in map(load_task, tasks):
        for item in task.items(limit, seed):
            if item.id in questions:
                raise ConfigError("tasks", tasks, f"tasks with different items ({item.id} comes twice)")
            questions[item.id] = Question(task, item)
    return questions


def fingerprint(items: Iterable[object]) -> Json:
    """Changes when the items of a task (or what else is plain data) do, so that a run does not go on over others."""
    reprs = list(map(repr, items))
    return {"n": len(reprs), "sha256": hashlib.sha256("".join(reprs).encode()).hexdigest()}


def graded(question: Question, arm: str, trace: Trace, error: str | None = None) -> Row:
    """The row of one trace, from nothing but the trace and the truth. `error`: the class name of what ended the run
    without an answer; then nothing is correct, and what was spent is still there."""
    item, usage = question.item, trace.usage
    opened, picked = next(trace.of(Opened), None), next(trace.of(Picked), None)
    step = trace.steps.get(picked.step) if picked else None
    value = step.value if step else None
    return Row(
        item=item.id,
        task=item.task,
        cluster=item.cluster,
        arm=arm,
        truth=item.truth,
        value=value.text if value else None,
        rule=value.rule.value if value else None,
        correct=error is None and question.task.grade(item, value.text if value else None),
        complete=value is not None,
        confidence=picked.confidence if picked else None,
        votes=picked.votes if picked else 0,
        stopped=picked.stopped if picked else None,
        usage=usage,
        first_token_seconds=trace.first_token_seconds,
        error=error,
        wall=opened.wall if opened else 0.0,
        prefix_reads=trace.prefix_reads,
        unweighed=trace.unweighed,
    )
