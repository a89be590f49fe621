"""The questions: which teach, which judge (DEV), and which are asked at the end (TEST).

No question is in two sets, or twice in one. A family that generates has other questions for other seeds, so DEV is
another one for each seed of a search. TEST is one set a task, of a seed of its own, without any question that was
learnt from or judged by. A file has the rows that it has: TEST is the same for all seeds, and what is left is dealt out
by the seed; where the rows are too few, TEST is smaller, and where it would be less than half of DEV, both share what
is not learnt from.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from ways import BASE, Sizes, Subject

from poise.evals.rows import Item
from poise.evals.tasks import Task

FIRST_SEED, TEST_SEED = 6_000, 7_000  # no training of the adapter has seen these
_EVERY = 1_000_000


@dataclass(frozen=True)
class Sets:
    """Questions of one task and one seed."""

    learn: tuple[Item, ...]
    dev: tuple[Item, ...]
    test: tuple[Item, ...]


def sets_of(subject: Subject, task: Task, sizes: Sizes, seed: int) -> Sets:
    """The same for the same seed."""
    if subject.endless:
        return _endless(task, sizes, seed)
    every = [item for item in task.items(_EVERY, TEST_SEED) if item.id not in subject.left_out]
    rows = list({item.question: item for item in every}.values())
    learn = min(sizes.learn, len(rows) // 4)
    dev, test = sizes.dev, sizes.test
    if learn + dev + test > len(rows):
        left = len(rows) - learn
        dev = dev if left >= 1.5 * dev else (left + 1) // 2
        test = left - dev
    others = rows[test:]
    random.Random(seed).shuffle(others)
    return Sets(tuple(others[:learn]), tuple(others[learn : learn + dev]), tuple(rows[:test]))


def _endless(task: Task, sizes: Sizes, seed: int) -> Sets:
    count = sizes.learn + sizes.dev
    seen = {item.question for other in {seed, *sizes.seeds} for item in task.items(count, FIRST_SEED + other)}
    new = [item for item in task.items(2 * sizes.test, TEST_SEED) if item.question not in seen]
    items = task.items(count, FIRST_SEED + seed)
    return Sets(tuple(items[: sizes.learn]), tuple(items[sizes.learn :]), tuple(new[: sizes.test]))


def gsm8k(folder: Path) -> Subject:
    """The rows of `test.jsonl` in a folder: the adapter has learnt from those of `train.jsonl`. Those whose wording is
    that of a template that it has learnt are left out, where the folder says which they are."""
    path, alike = folder / "test.jsonl", folder / "test_rows_like_gsm_symbolic.json"
    rows = json.loads(alike.read_text()) if alike.exists() else []
    return Subject("gsm8k", f"gsm8k:path={path},label=gsm8k", left_out=frozenset(f"gsm8k/{row + 1}" for row in rows))


def bbh(folder: Path) -> list[Subject]:
    """Every task of BIG-Bench Hard in a folder, a file each, for the model as it comes: the adapted one, which learnt
    word problems, is above chance on none of the 27."""
    return [
        Subject(path.stem, f"bbh:path={path},label={path.stem}", BASE, pool="bbh")
        for path in sorted(folder.glob("*.jsonl"))
    ]


def chance(subject: Subject, task: Task) -> float:
    """What always giving the most common answer gets right: of tasks that choose among a few. 0 of others."""
    if not subject.pool:
        return 0.0
    truths = [item.truth for item in task.items(_EVERY, TEST_SEED)]
    return max(map(truths.count, set(truths))) / len(truths)
