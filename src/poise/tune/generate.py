"""Fresh answers to many questions under one prompt: what every comparison of prompts rests on."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from poise import answers
from poise.core import Finish, Prompt, Sampling, Value
from poise.draws import Collected
from poise.errors import EngineError, ScorerError
from poise.evals.rows import Item
from poise.evals.tasks import Task
from poise.seams import Engine
from poise.tune.lengths import Outcome

AT_ONCE = 64
"""Answers drawn at once, so seconds are those of an answer beside so many."""
_SAID = 200  # characters kept of what went wrong


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer to one question. `ids`: its token ids where the engine tells them, an end token left out; `seconds`:
    beside up to AT_ONCE others; `right`: by the task's grade, never for a failure; `failure`: what went wrong, or
    nothing; `away`: it was the engine, and the same call may succeed later."""

    item: str
    text: str = ""
    ids: tuple[int, ...] = ()
    tokens: int = 0
    seconds: float = 0.0
    right: bool = False
    failure: str = ""
    value: Value | None = None
    away: bool = False

    @property
    def outcome(self) -> Outcome:
        """What races count of it."""
        return Outcome(self.right, self.tokens, bool(self.failure))


@runtime_checkable
class ReadsText(Protocol):
    """A task that grades whole texts. Raises ScorerError where it cannot."""

    def grade_text(self, item: Item, text: str, value: str | None) -> bool:
        """Whether an answer is right, by its text and the value read out of it."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is put to the model. `lead`: the end of the prompt, where it is part of the answer."""

    item: Item
    prompt: Prompt
    lead: str = ""


async def generated(
    engine: Engine,
    task: Task,
    items: Sequence[Item],
    prompt_of: Callable[[Item], Prompt],
    sampling: Sampling,
    seed: int,
) -> list[Generated]:
    """An answer to each item, in their order. The seed of an answer is that of its place among the items, whatever the
    prompt, so that two prompts are compared on common dice. A row that fails is a wrong one that says why; nothing is
    raised for it. Cost: a draw an item."""
    return await answered(engine, task, [Asked(item, prompt_of(item)) for item in items], sampling, seed)


async def answered(
    engine: Engine, task: Task, asked: Sequence[Asked], sampling: Sampling, seed: int
) -> list[Generated]:
    """The same for questions with prompts of their own."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(place: int, row: Asked) -> Generated:
        async with room:
            began = time.perf_counter()
            seeded = dataclasses.replace(sampling, seed=(seed * 1_000_003 + place) & (1 << 31) - 1)
            try:
                return _graded(task, row, await drawn(engine, row.prompt, seeded), time.perf_counter() - began)
            except EngineError as failure:
                said, seconds = f"{failure}"[:_SAID], time.perf_counter() - began
                return Generated(row.item.id, seconds=seconds, failure=said, away=failure.retryable)

    return await asyncio.gather(*(one(place, row) for place, row in enumerate(asked)))


async def drawn(engine: Engine, prompt: Prompt, sampling: Sampling) -> Collected:
    """One draw, collected. Raises EngineError."""
    got = Collected(0.0)
    stream = engine.stream(prompt, sampling, 1)
    try:
        async for delta in stream:
            got.add(delta, lambda: 0.0)
    finally:
        await stream.aclose()
    return got


def _graded(task: Task, row: Asked, got: Collected, seconds: float) -> Generated:
    draft = got.draft()
    value = answers.extract(row.lead + draft.text, row.item.kind, truncated=draft.finish is Finish.LENGTH)
    ids = draft.token_ids[:-1] if draft.finish is Finish.EOS else draft.token_ids
    text, right, failure, read = row.lead + draft.text, False, "", value.text if value else None
    try:
        right = task.grade_text(row.item, text, read) if isinstance(task, ReadsText) else task.grade(row.item, read)
    except ScorerError as error:
        failure = f"{error}"[:_SAID]
    return Generated(row.item.id, draft.text, ids, draft.tokens, seconds, right, failure, value)
