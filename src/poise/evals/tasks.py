"""Tasks: questions with known truths, loaded by a short spec.

    chain_sum:min_terms=2,max_terms=2     a reasoning-gym family with its difficulty knobs
    gsm_symbolic:templates=0-69           the same, on some templates only
    gsm8k            gsm8k:path=FILE      GSM8K test split from the hub, or from a JSONL file
    bbh:task=NAME    bbh:path=FILE        one BIG-Bench Hard task
    FILE.jsonl       jsonl:path=FILE      lines of question, answer and optional kind, id, cluster

Every task takes `label` (its readable name, by default the spec) and `kind` (number, choice, expression, text);
file and hub tasks take `lines=LOW-HIGH`, to keep calibration and test apart. A value may hold commas.
"""

from __future__ import annotations

from typing import Protocol

from poise.errors import ConfigError, DataError
from poise.evals.rows import Item
from poise.evals.task_spec import Settings


class Task(Protocol):
    """Questions with truths, and the grade: what run-time code never sees."""

    @property
    def name(self) -> str: ...

    @property
    def rejected(self) -> tuple[DataError, ...]:
        """Lines of the source that could not be used; the rest is kept."""
        ...

    def items(self, limit: int, seed: int) -> list[Item]:
        """The first `limit` items of an order that only `seed` decides, so a larger limit adds items and changes none;
        all there are if that is fewer. ConfigError: limit below 1 or seed below 0."""
        ...

    def grade(self, item: Item, value: str | None) -> bool:
        """Whether an extracted value is right."""
        ...


def load_task(spec: str) -> Task:
    """The task that a spec names. UnknownName: no such task or knob; ConfigError: a knob has a value that cannot work,
    or a package is missing; DataError: the source cannot be read, or holds no usable line. Reads files and the hub
    now, generates items only when asked."""
    head, colon, rest = spec.strip().partition(":")
    if not (colon and "=" in rest) and spec.strip().endswith(".jsonl"):
        head, rest = "jsonl", f"path={spec.strip()}"
    if not head:
        raise ConfigError("task", spec, "name, or name:key=value,key=value")
    settings = Settings(spec, rest)
    if head in ("gsm8k", "bbh", "jsonl"):
        from poise.evals.tasks_file import file_task

        return file_task(head, settings)
    from poise.evals.tasks_gym import gym_task

    return gym_task(head, settings)
