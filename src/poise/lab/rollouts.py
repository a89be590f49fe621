"""Rollouts: record the pool of draws that flat strategies replay. Draw once, judge many times.

- Draw k of an item has the seed that draw k of a benchmark under the same seed would have, so `engines.replay` can hand
  it to any arm. Draws of one item share calls where the engine samples several at once; a call carries the seed of its
  first draw.
- As many draws are under way as keep every slot of the engine busy while others wait for one.
- A killed recording loses what was in flight. When it goes on, what is missing is drawn: on engines with SEEDS and one
  draw a call the same texts, else others from the same distribution.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from poise import answers, prompts
from poise.core import Ability, Draft, Finish, Prompt, Request, Sampling
from poise.draws import Collected, derived_seed
from poise.engines.retry import retrying
from poise.errors import AbilityMissing, ConfigError, EngineError, RunError, StoreError
from poise.evals.grade import Question, fingerprint, questions_of
from poise.evals.progress import ArmProgress, Progress
from poise.lab.pool import items_to_json
from poise.seams import Engine
from poise.store.environment import environment
from poise.store.pool_dir import FAILURES, ITEMS, PoolDir, PooledDraw, PoolSettings, prompt_hash

AHEAD = 3
"""Draws under way per slot: one runs, the others wait, so that no slot does while a call comes to its end."""
UNKNOWN_SLOTS = 8
"""Taken for an engine that does not say how many it has."""
PATIENCE = 8
"""Failed calls in a row that end a sitting (or twice those under way, if that is more)."""

Watch: TypeAlias = Callable[[Progress], None]


async def record(
    settings: PoolSettings, engine: Engine, pool: PoolDir, watch: Watch | None = None, parallel: int = 0
) -> None:
    """Draw what `pool` lacks, grade it and keep it, until all is there or has been tried. `parallel`: draws under way
    (0: three times the engine's slots); `watch` is told after every draw, its arms being the tasks.

    Draws that failed are noted, and asked for again by the next call. Raises ConfigError before anything is drawn,
    EngineError after too many failed calls in a row, StoreError when the folder is in use or the disk full. However it
    ends, what is finished is kept, and the same call goes on from there. Cost: settings.draws per question."""
    check_parallel(parallel)
    if settings.sampling.top_logprobs is not None and Ability.LOGPROBS not in engine.can:
        raise AbilityMissing("rollouts with logprobs", engine.name, [Ability.LOGPROBS.value], [])
    questions = questions_of(settings.tasks, settings.limit, settings.seed)
    prompt = prompts.load(settings.prompt)
    items = [question.item for question in questions.values()]
    starts = [
        Start(id, question, prompt.render(Request.ask(question.item.question, question.item.kind)), settings.sampling)
        for id, question in questions.items()
    ]
    config = {**settings.to_json(engine.card, prompt.hash), "items": fingerprint(items)}
    with pool.claimed(config, environment({engine.name: engine.card})):
        if pool.read(ITEMS) is None:
            pool.write(ITEMS, items_to_json(items))
        await Sitting(settings, starts, engine, pool, watch).run(parallel)


def check_parallel(parallel: int) -> None:
    """Raises ConfigError for a number of draws under way that cannot be."""
    if parallel < 0:
        raise ConfigError("parallel", parallel, "1 or more, or 0 for what the engine can hold")


@dataclass(frozen=True, slots=True)
class Start:
    """Where draws begin: a question as it is put, how it is drawn, and the text that every draw goes on with, if any
    (the prompt then ends in it). `id`: by which the draws are kept."""

    id: str
    question: Question
    prompt: Prompt
    sampling: Sampling
    given: str = ""


@dataclass(frozen=True, slots=True)
class _Call:
    """Draws of one start that share a call."""

    start: Start
    indices: tuple[int, ...]


class _Tally:
    """Counts draws by task as they come."""

    def __init__(self, tasks: Iterable[str], total: int) -> None:
        self._tasks = {task: ArmProgress(task) for task in tasks}
        self._total, self._done, self._new_tokens, self._before, self._started = total, 0, 0, 0, 0.0

    def start(self, now: float) -> None:
        """What was added until now is of earlier sittings."""
        self._before, self._new_tokens, self._started = self._done, 0, now

    def add(self, draw: PooledDraw) -> None:
        """One more draw."""
        so_far = self._tasks[draw.task]
        self._tasks[draw.task] = replace(so_far, done=so_far.done + 1, correct=so_far.correct + draw.correct)
        self._done += 1
        self._new_tokens += draw.draft.tokens

    def fail(self, task: str) -> None:
        """One draw failed."""
        self._tasks[task] = replace(self._tasks[task], failed=self._tasks[task].failed + 1)

    def progress(self, now: float) -> Progress:
        """Where we are."""
        tasks = tuple(self._tasks.values())
        return Progress(self._done, self._total, self._before, tasks, self._new_tokens, now - self._started)


class Sitting:
    """One sitting over a pool that is claimed: what is there, what is drawn next, and how each draw is kept. Of the
    settings, the number of draws per start and the seed count here."""

    def __init__(
        self, settings: PoolSettings, starts: Sequence[Start], engine: Engine, pool: PoolDir, watch: Watch | None
    ) -> None:
        self._settings, self._starts, self._engine = settings, starts, retrying(engine)
        self._pool, self._watch = pool, watch
        tasks = dict.fromkeys(start.question.item.task for start in starts)
        self._tally = _Tally(tasks, len(starts) * settings.draws)
        self._kept: set[tuple[str, int]] = set()
        self._clock = asyncio.get_running_loop().time
        self._failures = 0
        self._last: RunError | None = None

    async def run(self, parallel: int) -> None:
        """Draw what is missing, grade it and keep it. Raises EngineError and StoreError."""
        for draw in self._pool.draws():
            self._kept.add((draw.item, draw.index))
            self._tally.add(draw)
        self._tally.start(self._clock())
        slots = self._engine.load().slots
        under_way = parallel or AHEAD * (slots or UNKNOWN_SLOTS)
        most = min(max(slots, 1), under_way) if Ability.N_SAMPLES in self._engine.can else 1
        self._patience = max(PATIENCE, 2 * math.ceil(under_way / most))
        self._room, self._turn = asyncio.Semaphore(under_way), asyncio.Lock()
        calls = self._missing(most)
        workers = [asyncio.create_task(self._work(calls)) for _ in range(under_way)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self._failures and not self._kept:
            raise self._gone()

    def _missing(self, most: int) -> Iterator[_Call]:
        """What is not there yet, at most so many draws a call."""
        for start in self._starts:
            indices = [index for index in range(self._settings.draws) if (start.id, index) not in self._kept]
            for first in range(0, len(indices), most):
                yield _Call(start, tuple(indices[first : first + most]))

    async def _work(self, calls: Iterator[_Call]) -> None:
        while call := await self._next(calls):
            got, ended = [Collected(self._clock()) for _ in call.indices], dict[int, float]()
            try:
                await self._draw(call, got, ended)
                self._failures = 0
            except StoreError:
                raise
            except RunError as failure:
                self._fail(call, ended, failure)
            finally:
                for _ in range(len(got) - len(ended)):
                    self._room.release()

    async def _next(self, calls: Iterator[_Call]) -> _Call | None:
        """The next call, once there is room for all its draws; one worker waits at a time, so that none starves."""
        async with self._turn:
            call = next(calls, None)
            for _ in call.indices if call else ():
                await self._room.acquire()
            return call

    async def _draw(self, call: _Call, got: list[Collected], ended: dict[int, float]) -> None:
        """One call. Every draft that ends is kept, whatever becomes of the others."""
        sampling = replace(call.start.sampling, seed=self._seed(call, 0))
        stream = self._engine.stream(call.start.prompt, sampling, len(got))
        try:
            async for delta in stream:
                got[delta.index].add(delta, self._clock)
                if delta.finish:
                    ended[delta.index] = self._clock()
                    self._room.release()
                if (delta.finish or delta.prompt_tokens) and any(one.prompt_tokens is not None for one in got):
                    self._keep(call, got, ended)
        finally:
            await stream.aclose()
            self._keep(call, got, ended)  # what waited to hear how long the prompt was
        if len(ended) < len(got):
            raise EngineError(f"{self._engine.name}: the stream ended before {len(got) - len(ended)} of its drafts")

    def _seed(self, call: _Call, place: int) -> int:
        """As a run seeds the draws of a benchmark's item."""
        return derived_seed(derived_seed(self._settings.seed, call.start.id), call.indices[place])

    def _keep(self, call: _Call, got: Sequence[Collected], ended: Mapping[int, float]) -> None:
        """Grade and write what has ended and is not written yet."""
        said = next((one for one in got if one.prompt_tokens is not None), None)
        for place, at in ended.items():
            key = call.start.id, call.indices[place]
            if key in self._kept:
                continue
            draw = self._graded(call, place, got[place].draft())
            if said and said.prompt_tokens is not None:
                cached = said.cached_tokens if place == 0 else said.prompt_tokens
                draw = replace(draw, prompt_tokens=said.prompt_tokens, cached_tokens=cached)
            self._pool.add(replace(draw, seconds=at - (got[place].first or at)))
            self._kept.add(key)
            self._tally.add(draw)
            self._tell()

    def _graded(self, call: _Call, place: int, draft: Draft) -> PooledDraw:
        start, task, item = call.start, call.start.question.task, call.start.question.item
        value = answers.extract(start.given + draft.text, item.kind, truncated=draft.finish is Finish.LENGTH)
        return PooledDraw(
            item=start.id,
            task=item.task,
            cluster=item.cluster,
            index=call.indices[place],
            seed=self._seed(call, place),
            prompt=prompt_hash(start.prompt),
            draft=draft,
            value=value,
            correct=task.grade(item, value.text if value else None),
        )

    def _fail(self, call: _Call, ended: Mapping[int, float], failure: RunError) -> None:
        """Note the draws of a call that did not end, and give up after too many such calls."""
        for place, index in enumerate(call.indices):
            if place not in ended:
                said = {"error": type(failure).__name__, "message": str(failure), "wall": round(time.time(), 6)}
                self._pool.append(FAILURES, {"item": call.start.id, "index": index, **said})
                self._tally.fail(call.start.question.item.task)
        self._tell()
        self._failures, self._last = self._failures + 1, failure
        if self._failures >= self._patience:
            raise self._gone()

    def _gone(self) -> EngineError:
        there = f"{len(self._kept)} of {len(self._starts) * self._settings.draws} draws are there"
        failed = f"{self._failures} calls in a row failed, the last of {type(self._last).__name__}: {self._last}"
        return EngineError(f"{failed}; {there}, and the same command goes on from there")

    def _tell(self) -> None:
        if self._watch:
            self._watch(self._tally.progress(self._clock()))
