"""The seams: Engine, Scorer and Strategy, the Run that a strategy sees, and the Plan that names them all."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

from poise.core import ROOT, Ability, Delta, Path, Pick, Prompt, Request, Sampling, Score, Step
from poise.costs import Budget, Card, Load, Overrun


async def _nothing_more() -> Overrun:
    return Overrun()


class Stream:
    """The deltas of one call. `aclose` stops generation upstream and settles the bill: engines pass `settle`, awaited
    once after the deltas are closed, which says what was generated but never delivered."""

    __slots__ = ("_deltas", "settle")

    def __init__(
        self, deltas: AsyncGenerator[Delta, None], settle: Callable[[], Awaitable[Overrun]] = _nothing_more
    ) -> None:
        self._deltas, self.settle = deltas, settle

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self._deltas

    async def aclose(self) -> Overrun:
        """Close the connection, then settle. Harmless on a stream that has ended."""
        await self._deltas.aclose()
        return await self.settle()


class Engine(Protocol):
    """Draws text from a language model. One method; wrappers of an engine are engines.

    `stream` raises only RunErrors, from the iteration. It must be safe to call many times at once."""

    @property
    def name(self) -> str: ...

    @property
    def card(self) -> Card: ...

    @property
    def can(self) -> frozenset[Ability]: ...

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """n samples of one prompt, tagged by `Delta.index`. Closing the stream stops generation upstream."""
        ...

    def load(self) -> Load:
        """How busy it is now, as far as it knows; no I/O."""
        ...

    async def aclose(self) -> None:
        """Free connections, processes and memory."""
        ...


class Scorer(Protocol):
    """Guesses at run time how good paths are. A process scorer scores prefixes; a grade, which knows the truth, is
    something else and cannot be reached from here. `top_logprobs`: what draws must record for it (see Sampling).

    One that costs something and scores each path by itself, whatever else is in the batch, may say `apart = True`:
    under ceilings it is then asked for one score before the others, which tells what they will cost.

    One that needs what may be missing (weights, a package) may also have `ready()`. It is called for every plan before
    a token is spent, raises ConfigError or ModelError, and costs nothing once it has passed."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> frozenset[Ability]: ...

    @property
    def top_logprobs(self) -> int | None: ...

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        """One score per path, in order. A failure is a Score with `failure`, not an exception."""
        ...


class Strategy(Protocol):
    """A way to spend compute: a frozen dataclass whose fields are the knobs. `prompt` names a prompt file."""

    name: ClassVar[str]

    @property
    def prompt(self) -> str: ...

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities without which it cannot work."""
        ...

    @property
    def scored(self) -> bool:
        """Whether it needs a scorer."""
        ...

    async def solve(self, request: Request, run: Run) -> Pick | None:
        """Spend, then pick; None when no draft ever finished."""
        ...

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """Its rule over what is finished so far (scores by step id): pure, and the answer at the deadline."""
        ...


Watch: TypeAlias = Callable[[Sequence[Delta]], bool]


@dataclass(frozen=True, slots=True)
class Done:
    """Something launched came back: a step, or a score (with its step), or neither when the draw failed."""

    id: int
    step: Step | None = None
    score: Score | None = None


class Flow(Protocol):
    """Launch, cancel, and take completions as they come: `async for done in flow`. The iteration ends when nothing is
    pending; at the deadline everything pending is closed, so it ends then too. Leaving the scope cancels the rest."""

    pending: int
    """Launched and not yet handed over."""

    def launch(
        self, parent: Step = ROOT, sampling: Sampling | None = None, *, suffix: str = "", watch: Watch | None = None
    ) -> int | None:
        """Start one draw; its id, or None when no ceiling has room for it (then nothing was started). `suffix` is put
        after the parent's path before drawing; `watch` sees the deltas so far and closes the stream by True."""
        ...

    def launch_all(
        self,
        parents: Sequence[Step],
        sampling: Sampling | None = None,
        *,
        suffix: str = "",
        path_tokens: int | None = None,
    ) -> list[int]:
        """One draw per parent, each with equal room; ids of those that fit. Neighbours with one parent share a call
        where the engine samples several at once, so that their prompt is read once. `path_tokens`: the most generated
        tokens of a whole path; a draw may use what its parent's path has left, and is not started without any."""
        ...

    def score(self, step: Step) -> None:
        """Start scoring the path of a step; completes as a Done with `score`. What is asked for at one moment is scored
        in one batch."""
        ...

    def cancel(self, id: int) -> None:
        """Close one pending draw; it is billed for what was generated and does not complete."""
        ...

    async def __aenter__(self) -> Flow: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def __aiter__(self) -> AsyncIterator[Done]: ...


class Run(Protocol):
    """A strategy's only handle on the world: it records, meters, seeds, reserves budget, cancels and keeps time."""

    sampling: Sampling
    seed: int
    """The run's own, for strategies that decide by chance."""

    async def draw(self, parents: Sequence[Step], sampling: Sampling | None = None) -> list[Step]:
        """One draw per parent, all at once; fewer come back when draws fail or a ceiling has no more room."""
        ...

    async def score(self, steps: Sequence[Step]) -> list[Score]:
        """Score the path of each step, in one batch."""
        ...

    def flow(self, role: str = "main") -> Flow:
        """Completions as they come, from the engine of this role."""
        ...

    async def close(self, steps: Sequence[Step]) -> list[Step]:
        """Force answers out of unfinished paths: the closing suffix of the request's kind, then a few greedy tokens."""
        ...

    async def fork(self, strategy: Strategy, share: float = 1.0, role: str = "main") -> Pick | None:
        """Solve with a sub-strategy on `share` of what is left; its "main" engine is the one of `role` here."""
        ...

    def path(self, step: Step) -> Path:
        """The steps from the root's first child down to `step`."""
        ...

    def load(self, role: str = "main") -> Load:
        """How busy the engine of this role is."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided: plain data. Request + Plan + seed replays a run on an engine that honours seeds. `engines` maps
    roles to engine names; `budget` is never above the request's; `because` is one sentence with the numbers used."""

    strategy: Strategy
    engines: tuple[tuple[str, str], ...] = (("main", "default"),)
    scorer: str | None = None
    prompt: str = ""
    prompt_hash: str = ""
    budget: Budget = Budget()
    because: str = "asked for by name"


@dataclass(frozen=True, slots=True)
class Arm:
    """A named plan with its sampling: one row of a benchmark, one entry of a catalogue."""

    name: str
    plan: Plan
    sampling: Sampling = Sampling()
