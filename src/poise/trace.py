"""What happened: append-only events forming a tree, and the Answer that travels with them.

Every `at` is in seconds since the run opened. The bill is derived from the events, so it can never disagree with the
record. `poise.records` turns traces into JSON lines and back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from poise.core import Ability, Delta, Path, Request, Score, Step, Stopped, Value
from poise.costs import Usage
from poise.seams import Plan


@dataclass(frozen=True, slots=True)
class Opened:
    """A run began. `wall` is the epoch time in seconds; `seed` the run seed."""

    request: Request
    plan: Plan
    seed: int
    wall: float
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Launched:
    """A draw was started: `max_tokens` is what was granted, `seed` the draw's own."""

    at: float
    id: int
    parent: int
    role: str
    engine: str
    max_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A draw came back, or was closed by us (then its draft says CLOSED and it may never be an answer by itself).
    `first` is when its first delta came."""

    at: float
    step: Step
    usage: Usage
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A draw, or a score of step `id`, failed; `error` is the class name. What it had spent is billed."""

    at: float
    id: int
    error: str
    message: str
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Scored:
    """A scorer judged the path of a step."""

    at: float
    step: int
    scorer: str
    score: Score


@dataclass(frozen=True, slots=True)
class Forked:
    """A sub-strategy began (`pick` None) or ended with this step."""

    at: float
    strategy: str
    share: float
    pick: int | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Picked:
    """The run ended: which step answers, and why it stopped. `votes`: drafts that had a say."""

    at: float
    step: int
    confidence: float | None
    votes: int
    stopped: Stopped


Event: TypeAlias = Opened | Launched | Drawn | Failed | Scored | Forked | Picked
E = TypeVar("E", bound=Event)


@dataclass(slots=True)
class Trace:
    """The one append-only record of a run. `follow()` streams it live, transient deltas included."""

    events: list[Event] = field(default_factory=list)
    closed: bool = False
    _followers: list[asyncio.Queue[Event | tuple[int, Delta] | None]] = field(default_factory=list, repr=False)

    def append(self, event: Event) -> None:
        """Add one event and tell the followers."""
        self.events.append(event)
        for queue in self._followers:
            queue.put_nowait(event)

    def hint(self, draw: int, delta: Delta) -> None:
        """Show a delta of a running draw to followers; it is not recorded."""
        for queue in self._followers:
            queue.put_nowait((draw, delta))

    @property
    def followed(self) -> bool:
        """Whether anyone is listening."""
        return bool(self._followers)

    async def follow(self) -> AsyncIterator[Event | tuple[int, Delta]]:
        """All events so far, then new events and (draw id, delta) pairs as they come; ends after Picked or `close`."""
        queue: asyncio.Queue[Event | tuple[int, Delta] | None] = asyncio.Queue()
        for event in self.events:
            queue.put_nowait(event)
        if self.closed:
            queue.put_nowait(None)
        self._followers.append(queue)
        try:
            while (item := await queue.get()) is not None:
                yield item
                if isinstance(item, Picked):
                    return
        finally:
            self._followers.remove(queue)

    def close(self) -> None:
        """Let followers end: the run is over, with a pick or without."""
        self.closed = True
        for queue in self._followers:
            queue.put_nowait(None)

    def of(self, kind: type[E]) -> Iterator[E]:
        """Events of one class, in order."""
        return (event for event in self.events if isinstance(event, kind))

    @property
    def steps(self) -> dict[int, Step]:
        """Every step by id, closed ones included."""
        return {event.step.id: event.step for event in self.of(Drawn)}

    @property
    def seconds(self) -> float:
        """Span: from opening to the last event."""
        return self.events[-1].at if self.events else 0.0

    @property
    def usage(self) -> Usage:
        """The bill: the sum over events, with the span as `seconds`."""
        bills = [event.usage for event in self.events if isinstance(event, (Drawn, Failed))]
        bills += [event.score.usage for event in self.events if isinstance(event, Scored)]
        return replace(Usage.total(bills), seconds=self.seconds)

    @property
    def first_token_seconds(self) -> float | None:
        """When the first delta of any draw came."""
        firsts = [event.first for event in self.of(Drawn) if event.first is not None]
        return min(firsts, default=None)

    @property
    def prefix_reads(self) -> float | None:
        """Tokens run through the models (prompts less what was cached, and what was generated) over the distinct tokens
        of the tree (each role's question once, and every step): 1 where shared prefixes are never read again. The few
        tokens of closing suffixes count as read and not as distinct. None where no engine said how long a prompt is."""
        drawn = list(self.of(Drawn))
        roots = [event for event in drawn if event.step.parent == 0 and not event.step.suffix]
        asked = {event.step.role: 0 for event in drawn}
        for event in roots:
            asked[event.step.role] = max(asked[event.step.role], event.usage.prompt_tokens)
        made = sum(event.usage.new_tokens + event.usage.overrun_tokens for event in drawn)
        read = sum(event.usage.prompt_tokens - event.usage.cached_prompt_tokens for event in drawn)
        return (read + made) / (sum(asked.values()) + made) if all(asked.values()) and asked else None

    @property
    def failures(self) -> tuple[int, int]:
        """How many draws failed, and how many paths could not be scored."""
        return sum(1 for _ in self.of(Failed)), sum(event.score.failure is not None for event in self.of(Scored))

    @property
    def unweighed(self) -> bool:
        """Whether nothing came that the method weighs drafts by: every score failed, or a strategy that goes by
        logprobs was sent none. Then drafts counted alike, or the first was taken, whatever the method's name says."""
        scored = [event.score.failure is not None for event in self.of(Scored)]
        if scored and all(scored):
            return True
        opened = next(self.of(Opened), None)
        needs = getattr(opened.plan.strategy, "needs", ()) if opened else ()  # a trace that was read may not know them
        if Ability.LOGPROBS not in needs:
            return False
        drafts = [event.step.draft for event in self.of(Drawn) if event.step.draft.tokens]
        return bool(drafts) and not any(draft.logprobs for draft in drafts)

    def path(self, step: int) -> Path:
        """The steps from the root's first child down to `step`."""
        steps, path = self.steps, []
        while step in steps:
            path.append(steps[step])
            step = steps[step].parent
        return tuple(reversed(path))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets. `text` is the whole path's text, `value` what was read out of it (None: nothing of the
    asked kind), `confidence` the strategy's own, `usage` the trace's bill."""

    text: str
    value: Value | None
    confidence: float | None
    stopped: Stopped
    trace: Trace

    @property
    def usage(self) -> Usage:
        """The bill, derived from the trace."""
        return self.trace.usage

    @property
    def complete(self) -> bool:
        """Whether an answer of the asked kind was produced."""
        return self.value is not None
