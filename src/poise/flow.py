"""The live Flow: launch draws and scores, cancel them, and take completions as they come."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from poise.core import ROOT, Ability, Finish, Message, Prompt, Role, Sampling, Step
from poise.costs import Overrun, Usage
from poise.draws import MESSAGE_TOKENS, Collected, PromptBill, prompt_bound
from poise.errors import ConfigError, RunError
from poise.judged import score_paths
from poise.ledger import Grant, Ledger
from poise.seams import Done, Engine, Watch
from poise.stage import Stage
from poise.trace import Drawn, Failed, Launched


@dataclass(slots=True, eq=False)
class _Launch:
    """One draw in flight; `group`: the draws that share its call, itself included."""

    id: int
    parent: Step
    prompt: Prompt
    sampling: Sampling
    suffix: str
    watch: Watch | None
    grant: Grant
    got: Collected
    group: list[_Launch] = field(default_factory=list)
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
        self._unscored: list[Step] = []
        self._ready: deque[Done] = deque()
        self._wake = asyncio.Event()

    def launch(
        self, parent: Step = ROOT, sampling: Sampling | None = None, *, suffix: str = "", watch: Watch | None = None
    ) -> int | None:
        launch = self._admit(parent, sampling or self.sampling, suffix, watch)
        return self._begin([launch]) if launch else None

    def launch_all(
        self,
        parents: Sequence[Step],
        sampling: Sampling | None = None,
        *,
        suffix: str = "",
        path_tokens: int | None = None,
    ) -> list[int]:
        ids: list[int] = []
        most = max(self.engine.load().slots, 1) if Ability.N_SAMPLES in self.engine.can else 1
        families = [(parent, len(list(run))) for parent, run in itertools.groupby(parents)]
        if most > 1:  # only children first: each finds its parent's slot before larger families spread over others
            families.sort(key=lambda family: family[1])
        sharers = len(parents)
        for parent, children in families:
            sharers -= children
            tight = self._within(parent, sampling or self.sampling, path_tokens)
            if tight is None:
                continue
            for first in range(0, children, most):
                members = range(first, min(first + most, children))
                tried = [self._admit(parent, tight, suffix, None, sharers + children - member) for member in members]
                if group := [launch for launch in tried if launch]:
                    self._begin(group)
                    ids += [launch.id for launch in group]
        return ids

    def _within(self, parent: Step, sampling: Sampling, path_tokens: int | None) -> Sampling | None:
        """The sampling cut to what the parent's path has left; None where it has nothing left."""
        if path_tokens is None:
            return sampling
        left = path_tokens - sum(step.draft.tokens for step in self.stage.path(parent) if step.id)
        return replace(sampling, max_tokens=min(sampling.max_tokens, left)) if left > 0 else None

    def _admit(
        self, parent: Step, sampling: Sampling, suffix: str, watch: Watch | None, sharers: int = 1
    ) -> _Launch | None:
        """Reserve, record and seed one draw, leaving equal room for `sharers` draws; None where no ceiling has room."""
        stage = self.stage
        if stage.halted:
            return None
        prompt = self._continued(parent, suffix)
        bound = self._bound(prompt, parent, suffix)
        thinking = sampling.thinking or getattr(self.engine, "thinking", None)
        grant = self.ledger.grant(sampling.max_tokens, bound, self.engine.card, sharers, thinking)
        if grant is None:
            stage.refused = True
            return None
        id = stage.new_id()
        stage.prompts[id] = self.prompt
        seed = stage.child_seed(parent.id, id)
        stage.record(Launched(stage.now(), id, parent.id, self.role, self.engine.name, grant.max_tokens, seed))
        return _Launch(id, parent, prompt, sampling, suffix, watch, grant, Collected(stage.now()))

    def _begin(self, group: list[_Launch]) -> int:
        """Start one call for a group; the id of its first draw."""
        task = asyncio.get_running_loop().create_task(self._draw(group))
        for launch in group:
            launch.task, launch.group = task, group
            self._launches[launch.id] = launch
            self.stage.on_halt(launch.id, functools.partial(self.cancel, launch.id))
        self.pending += len(group)
        task.add_done_callback(lambda _: self._over(group))
        return group[0].id

    def score(self, step: Step) -> None:
        if self.stage.halted:
            return
        self.pending += 1
        self._unscored.append(step)
        if len(self._unscored) == 1:  # what else is asked for before the loop turns goes into the same batch
            task = asyncio.get_running_loop().create_task(self._score())
            self._scores.add(task)
            self.stage.on_halt(-step.id, task.cancel)
            task.add_done_callback(functools.partial(self._score_over, step.id))

    def cancel(self, id: int) -> None:
        """Close one pending draw; draws that share a call are closed when the last of them is cancelled."""
        launch = self._launches.get(id)
        if launch and launch.task and not (launch.dropped or launch.settled or launch.task.done()):
            launch.dropped = True
            self.pending -= 1
            if all(one.dropped or one.settled for one in launch.group):
                launch.task.cancel()
            self._wake.set()

    async def __aenter__(self) -> LiveFlow:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for id in list(self._launches):
            self.cancel(id)
        for task in self._scores:
            task.cancel()
        rest = {launch.task for launch in self._launches.values() if launch.task} | self._scores
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
        base = self.stage.prompt_tokens.get((self.engine.name, self.prompt))
        if base is None:
            return prompt_bound(prompt)
        path = self.stage.path(parent) if parent.id else ()
        turn = MESSAGE_TOKENS if path or suffix else 0
        return base + turn + sum(step.draft.tokens + len(step.suffix.encode()) for step in path) + len(suffix.encode())

    async def _draw(self, group: list[_Launch]) -> None:
        stage, head = self.stage, group[0]
        for launch in group:
            launch.begun = True
        stream = self.engine.stream(head.prompt, self._sampling_of(group), len(group))
        error: RunError | None = None
        hurried = False
        try:
            async for delta in stream:
                launch = group[delta.index]
                launch.got.add(delta, stage.now)
                if stage.trace.followed:
                    stage.trace.hint(launch.id, delta)
                if launch.watch and launch.watch(launch.got.deltas):
                    break
                if delta.finish and sum(not one.settled for one in group) > 1:
                    self._settle(launch, None, None)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            hurried = task is not None and task.cancelling() > 1  # cancelled again while it was closing
            if not all(one.dropped or one.settled for one in group):  # the whole run is torn down: settle, then let go
                self._settle_rest(group, await stream.aclose(), None)
                raise
        except RunError as failure:
            error = failure
        except BaseException:
            await stream.aclose()
            raise
        overrun = await stream.aclose()
        self._settle_rest(group, replace(overrun, exact=False) if hurried else overrun, error)

    def _sampling_of(self, group: list[_Launch]) -> Sampling:
        """Of the call: the seed of its first draw, and the tightest grant."""
        head, most = group[0], min(launch.grant.max_tokens for launch in group)
        return replace(head.sampling, max_tokens=most, seed=self.stage.seeds[head.id])

    def _settle_rest(self, group: list[_Launch], overrun: Overrun, error: RunError | None) -> None:
        """The first draw still open bears what the call shared: its prompt and its overrun."""
        shared: Overrun | None = overrun
        for launch in group:
            if not launch.settled:
                self._settle(launch, shared, None if launch.got.finish else error)
                shared = None

    def _settle(self, launch: _Launch, overrun: Overrun | None, error: RunError | None) -> None:
        """Write the event, book the bill, hand over the completion. Runs exactly once a launch."""
        launch.settled = True
        stage, got = self.stage, launch.got
        told = [one.got for one in launch.group or [launch] if one.got.prompt_tokens is not None]  # by any of a call
        teller = max(told, key=lambda one: (one.prompt_tokens or 0) - one.cached_tokens, default=got)
        said, cached = teller.prompt_tokens, teller.cached_tokens
        unread = 0 if error and got.first is None else min(launch.grant.prompt_tokens, _guess(launch.prompt))
        prompt = PromptBill(unread if said is None else said, said is not None, overrun is None, cached)
        usage = got.bill(self.engine.card, stage.now(), overrun or Overrun(), prompt) if launch.begun else Usage()
        self.ledger.settle(launch.grant, usage)
        if got.finish is Finish.LENGTH and launch.grant.max_tokens < launch.sampling.max_tokens:
            stage.refused = True  # the budget cut this draft short
        if said is not None and launch.prompt is self.prompt:
            stage.prompt_tokens[(self.engine.name, self.prompt)] = said
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

    def _over(self, group: list[_Launch]) -> None:
        """The task ended. Draws cancelled before it ran, or while it was closing, have not settled yet."""
        for launch in group:
            self._launches.pop(launch.id, None)
        self._settle_rest(group, Overrun(0, exact=not group[0].begun), None)
        task = group[0].task
        if task and not task.cancelled() and (failure := task.exception()):
            self._break(failure)

    def _break(self, failure: BaseException) -> None:
        """Something that is no RunError escaped (a bug in a plug-in, a watch that raised): the strategy gets it."""
        self._broken = failure
        self._wake.set()

    async def _score(self) -> None:
        steps, self._unscored = self._unscored, []
        try:
            scores = await score_paths(self.stage, self.ledger, steps)
        except asyncio.CancelledError:
            self.pending -= len(steps)
            raise
        for step, score in zip(steps, scores, strict=True):
            self._complete(Done(step.id, step, score))

    def _score_over(self, id: int, task: asyncio.Task[None]) -> None:
        self._scores.discard(task)
        self.stage.forget(-id)
        if task.cancelled():
            self.pending -= len(self._unscored)  # cancelled before it began
            self._unscored = []
            self._wake.set()
        elif failure := task.exception():
            self._break(failure)


def _guess(prompt: Prompt) -> int:
    """A typical token covers four bytes; used, and flagged, only where the engine never said."""
    return sum(len(message.text.encode()) for message in prompt) // 4 + 1
