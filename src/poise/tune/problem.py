"""What an optimisation is about: a task, and which of its questions teach, judge and test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from poise.errors import ConfigError
from poise.evals.rows import Item
from poise.evals.tasks import Task


@dataclass(frozen=True, slots=True)
class Problem:
    """A task, questions of it to `learn` from, others that `judge`, and others that `test` what was picked, if any.
    Raises ConfigError where a set is empty or they share a question."""

    task: Task
    learn: tuple[Item, ...]
    judge: tuple[Item, ...]
    test: tuple[Item, ...] = ()

    def __post_init__(self) -> None:
        for name in ("learn", "judge"):
            if not getattr(self, name):
                raise ConfigError(name, 0, "at least one question")
        seen = dict[str, str]()
        for name, items in (("learn", self.learn), ("judge", self.judge), ("test", self.test)):
            for item in items:
                if (before := seen.setdefault(item.question, name)) != name:
                    raise ConfigError(name, item.id, f"questions that are not in {before!r} too")


def digest(items: Sequence[Item]) -> str:
    """Of what is asked and what is right: the ids of a file's rows are the same after an edit."""
    rows = [(item.id, item.question, item.truth) for item in items]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
