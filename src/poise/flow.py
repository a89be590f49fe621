"""The live Flow: launch draws and scores, cancel them, and take completions as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from poise.core import ROOT, Ability, Message, Prompt, Role, Sampling, Score, Step
from poise.costs import Overrun, Usage
from poise.draws import Collected, prompt_bound
from poise.errors import ConfigError, RunError, ScorerError
from poise.ledger import Grant, Ledger
from poise.seams import Done, Engine, Watch
from poise.stage import Stage
from poise.trace import Drawn, Failed, Launched, Scored


@dataclass(slots=True, eq=False)
class _Launch:
    """One draw in flight."""

    id: int
    parent: Step
    prompt: Prompt
    sampling: Sampling
    suffix: str
    watch: Watch | None
    grant: Grant
    got: Collected
    task: asyncio.Task[None] | None = None
    begun: bool = False
    settled: bool = False
    dropped: bool = False


class LiveFlow:
    """See `poise.seams.Flow`. One draw is one task; a cancelled draw settles its bill before the flow is left."""

    def __init__(
        self, stage: Stage, ledger: Ledger, role: tuple[str, Engine], prompt: Prompt, sampling: Sampling
    ) -> None:
        self.stage, self.ledger, (self.role, self.engine) = stage, ledger, role
        self.prompt, self.sampling = prompt, sampling
        self.pending = 0
        self._broken: BaseException | None = None
        self._launches: dict[int, _Launch] = {}
        self._scores: set[asyncio.Task[None]] = set()
        self._ready: deque[Done] = deque()
        self._wake = asyncio.Event()

    def launch(
        self, parent: Step = ROOT, sampling: Sampling | None = None, *, suffix: str = "", watch: Watch | None = None
    ) -> int | None:
        return self.launch_shared(parent, sampling or self.sampling, suffix, watch, 1)

    def launch_shared(
        self, parent: Step, sampling: Sampling, suffix: str, watch: Watch | None, sharers: int
    ) -> int | None:
        """`launch` that leaves equal room for `sharers` draws, itself included."""
        stage = self.stage
        if stage.halted:
            return None
        prompt = self._continued(parent, suffix)
        bound = self._bound(prompt, parent, suffix)
        grant = self.ledger.grant(sampling.max_tokens, bound, self.engine.card, sharers)
        if grant is None:
            stage.refused = True
            return None
        id = stage.new_id()
        seed = stage.child_seed(parent.id, id)
        drawn = replace(sampling, max_tokens=grant.max_tokens, seed=seed)
        stage.record(Launched(stage.now(), id, parent.id, self.role, self.engine.name, grant.max_tokens, seed))
        launch = _Launch(id, parent, prompt, drawn, suffix, watch, grant, Collected(stage.now()))
        launch.task = asyncio.get_running_loop().create_task(self._draw(launch))
        launch.task.add_done_callback(lambda _: self._over(launch))
        self._launches[id] = launch
        self.pending += 1
        stage.on_halt(id, lambda: self.cancel(id))
        return id

    def score(self, step: Step) -> None:
        """Score one path beside the draws."""
        task = asyncio.get_running_loop().create_task(self._score(step))
        self._scores.add(task)
        self.pending += 1

    def cancel(self, id: int) -> None:
        """Close one pending draw."""
        launch = self._launches.get(id)
        if launch and launch.task and not launch.dropped and not launch.task.done():
            launch.dropped = True
            self.pending -= 1
            launch.task.cancel()
            self._wake.set()

    async def __aenter__(self) -> LiveFlow:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for id in list(self._launches):
            self.cancel(id)
        for task in self._scores:
            task.cancel()
        rest = [launch.task for launch in self._launches.values() if launch.task] + list(self._scores)
        if rest:
            await asyncio.gather(*rest, return_exceptions=True)

    def __aiter__(self) -> AsyncIterator[Done]:
        return self

    async def __anext__(self) -> Done:
        while not self._ready:
            if self._broken:
                raise self._broken
            if self.pending <= 0:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        self.pending -= 1
        return self._ready.popleft()

    def _complete(self, done: Done) -> None:
        self._ready.append(done)
        self._wake.set()

    def _continued(self, parent: Step, suffix: str) -> Prompt:
        text = (self.stage.text(parent) if parent.id else "") + suffix
        if not text:
            return self.prompt
        if Ability.CONTINUES not in self.engine.can:
            raise ConfigError("engine", self.engine.name, "an engine that can continue an assistant prefix")
        return (*self.prompt, Message(Role.ASSISTANT, text))

    def _bound(self, prompt: Prompt, parent: Step, suffix: str) -> int:
        """Tokens of the prompt: counted before where possible, else an upper bound."""
        base = self.stage.prompt_tokens.get((self.engine.name, self.prompt[-1].text))
        if base is None:
            return prompt_bound(prompt)
        path = self.stage.path(parent) if parent.id else ()
        return base + sum(step.draft.tokens + len(step.suffix.encode()) for step in path) + len(suffix.encode())

    async def _draw(self, launch: _Launch) -> None:
        stage, got = self.stage, launch.got
        launch.begun = True
        stream = self.engine.stream(launch.prompt, launch.sampling)
        error: RunError | None = None
        try:
            async for delta in stream:
                got.add(delta, stage.now)
                if stage.trace.followed:
                    stage.trace.hint(launch.id, delta)
                if launch.watch and launch.watch(got.deltas):
                    break
        except asyncio.CancelledError:
            if not launch.dropped:  # the whole run is being torn down: settle, then let go
                self._settle(launch, await stream.aclose(), None)
                raise
        except RunError as failure:
            error = failure
        self._settle(launch, await stream.aclose(), error)

    def _settle(self, launch: _Launch, overrun: Overrun, error: RunError | None) -> None:
        """Write the event, book the bill, hand over the completion. Runs exactly once a launch."""
        launch.settled = True
        stage, got = self.stage, launch.got
        unread = 0 if error and got.first is None else min(launch.grant.prompt_tokens, _guess(launch.prompt))
        usage = got.bill(self.engine.card, stage.now(), overrun, unread) if launch.begun else Usage()
        self.ledger.settle(launch.grant, usage)
        if got.prompt_tokens is not None and launch.prompt is self.prompt:
            stage.prompt_tokens[(self.engine.name, self.prompt[-1].text)] = got.prompt_tokens
        if error:
            stage.last_error = error
            stage.record(Failed(stage.now(), launch.id, type(error).__name__, str(error), usage))
            self._end(launch, Done(launch.id))
            return
        step = stage.place(Step(launch.id, launch.parent.id, got.draft(), None, launch.suffix, self.role))
        stage.record(Drawn(stage.now(), step, usage, got.first))
        self._end(launch, Done(launch.id, step))

    def _end(self, launch: _Launch, done: Done) -> None:
        self.stage.forget(launch.id)
        if not launch.dropped:
            self._complete(done)

    def _over(self, launch: _Launch) -> None:
        """The task ended. One cancelled before it ran, or while it was closing, has not settled yet."""
        self._launches.pop(launch.id, None)
        if not launch.settled:
            self._settle(launch, Overrun(0, exact=not launch.begun), None)
        if launch.task and not launch.task.cancelled() and (failure := launch.task.exception()):
            self._break(failure)

    def _break(self, failure: BaseException) -> None:
        """Something that is no RunError escaped (a bug in a plug-in, a watch that raised): the strategy gets it."""
        self._broken = failure
        self._wake.set()

    async def _score(self, step: Step) -> None:
        try:
            score = (await score_paths(self.stage, self.ledger, [step]))[0]
        except ConfigError as failure:
            self._break(failure)
            raise
        self._complete(Done(step.id, step, score))


def _guess(prompt: Prompt) -> int:
    """A typical token covers four bytes; used, and flagged, only where the engine never said."""
    return sum(len(message.text.encode()) for message in prompt) // 4 + 1


async def score_paths(stage: Stage, ledger: Ledger, steps: Sequence[Step]) -> list[Score]:
    """Score the path of each step in one batch, and record and bill it. A scorer that breaks scores 0 and says why."""
    if stage.scorer is None:
        raise ConfigError("scorer", None, "the name of a scorer, since this strategy scores")
    try:
        scores = await stage.scorer.score(stage.request, [stage.path(step) for step in steps])
    except ScorerError as failure:
        scores = [Score(0.0, failure=str(failure)) for _ in steps]
    for step, score in zip(steps, scores, strict=True):
        stage.scores[step.id] = score
        stage.record(Scored(stage.now(), step.id, stage.scorer.name, score))
        ledger.charge(score.usage)
    return scores
