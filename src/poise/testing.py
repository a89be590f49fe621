"""The laws of the seams, for our own implementations and for plug-ins; and time that costs nothing.

async def test_my_strategy():                   def test_my_deadline():
    await check_strategy(MyStrategy(n=4))           answer = virtual(solve(request, plan, engines))
"""

from __future__ import annotations

import asyncio
import dataclasses
import selectors
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from poise import registry
from poise.core import Ability, Draft, Finish, Goal, Kind, Path, Request, Rule, Sampling, Step, Value
from poise.costs import Budget, Usage
from poise.draws import Collected
from poise.engines.scripted import Script, Scripted, ScriptOf
from poise.run import solve
from poise.seams import Engine, Plan, Scorer, Strategy
from poise.trace import Answer, Drawn, Event, Failed, Launched, Opened, Picked, Trace

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: what would have been waited for is added to the loop's clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("virtual time stands still: everything waits and no timer is set")
        self.loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer. Timings are exact and repeatable; no real I/O."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual_now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual_now

    def jump(self, seconds: float) -> None:
        """Move the clock forward."""
        self._virtual_now += seconds


def virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def timeless(trace: Trace) -> list[Event]:
    """The events of a trace with every timing set to 0, for comparing runs."""
    return [_timeless(event) for event in trace.events]


def _timeless(event: Event) -> Event:
    changes: dict[str, Any] = {"at": 0.0}
    if isinstance(event, Opened):
        changes["wall"] = 0.0
    if isinstance(event, Drawn):
        changes["first"] = None
    if isinstance(event, (Drawn, Failed)):
        changes["usage"] = dataclasses.replace(event.usage, seconds=0.0, busy_seconds=0.0)
    return dataclasses.replace(event, **changes)


def _script(question: str) -> Script:
    """A hard enough question: right in 60 % of draws, 3 to 40 tokens, uneven latencies."""
    return Script((("7", 0.6), ("8", 0.4)), (3, 40), steps=3, first_byte_seconds=0.05, seconds_per_token=0.01)


REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER, Sampling(max_tokens=64))


def check_strategy(strategy: Strategy, scorer: Scorer | None = None, script: ScriptOf = _script) -> None:
    """The laws of a strategy: an answer comes; same seed, same trace; no ceiling is ever passed; the deadline is kept
    and answered as soon as one draft exists; usage equals the engine's own counter. Raises AssertionError."""
    for slots in (0, 16):
        _check_laws(strategy, scorer, script, slots)


def _check_laws(strategy: Strategy, scorer: Scorer | None, script: ScriptOf, slots: int) -> None:
    """With one call a draw, and with draws that share calls."""
    answer, engine = _solved(strategy, scorer, script, slots=slots)
    assert answer.text, f"{strategy.name}: no text"
    _check_bill(strategy, answer, engine)
    again, _ = _solved(strategy, scorer, script, slots=slots)
    assert timeless(answer.trace) == timeless(again.trace), f"{strategy.name}: same seed, another trace"
    for new_tokens in (40, 64, 150):
        _check_ceiling(strategy, scorer, script, Budget(new_tokens=new_tokens), slots)
    _check_ceiling(strategy, scorer, script, Budget(calls=2), slots)
    _check_ceiling(strategy, scorer, script, Budget(total_tokens=1_000), slots)
    for seconds in (0.3, 0.5, 1.0):
        _check_deadline(strategy, scorer, script, seconds, slots)


def _solved(
    strategy: Strategy, scorer: Scorer | None, script: ScriptOf, budget: Budget = Budget(), slots: int = 0
) -> tuple[Answer, Scripted]:
    engine = Scripted(script, per_delta=4, slots=slots)
    plan = Plan(strategy, (("main", engine.name),), scorer.name if scorer else None)
    request = dataclasses.replace(REQUEST, goal=Goal(budget))
    scorers = {scorer.name: scorer} if scorer else {}
    return virtual(solve(request, plan, {engine.name: engine}, scorers, seed=11)), engine


def _check_bill(strategy: Strategy, answer: Answer, engine: Scripted) -> None:
    usage = answer.usage
    billed = usage.new_tokens + usage.overrun_tokens
    assert billed == engine.generated, f"{strategy.name}: billed {billed} tokens, the engine made {engine.generated}"
    launched = sum(1 for _ in answer.trace.of(Launched))
    ended = sum(isinstance(event, (Drawn, Failed)) for event in answer.trace.events)
    assert launched == ended, f"{strategy.name}: {launched} launches, {ended} endings in the trace"
    assert isinstance(answer.trace.events[-1], Picked), f"{strategy.name}: events after the pick"


def _check_ceiling(strategy: Strategy, scorer: Scorer | None, script: ScriptOf, budget: Budget, slots: int) -> None:
    answer, engine = _solved(strategy, scorer, script, budget, slots)
    usage = answer.usage
    spent = usage.new_tokens + usage.overrun_tokens + usage.scorer_tokens
    assert budget.new_tokens is None or spent <= budget.new_tokens, f"{strategy.name}: {spent} tokens of {budget}"
    assert budget.calls is None or usage.calls <= budget.calls, f"{strategy.name}: {usage.calls} calls of {budget}"
    if budget.total_tokens is not None:
        assert usage.total_tokens <= budget.total_tokens, f"{strategy.name}: {usage.total_tokens} of {budget}"
    _check_bill(strategy, answer, engine)


def _check_deadline(strategy: Strategy, scorer: Scorer | None, script: ScriptOf, seconds: float, slots: int) -> None:
    answer, engine = _solved(strategy, scorer, script, Budget(seconds=seconds), slots)
    assert answer.trace.seconds <= seconds + 0.05, f"{strategy.name}: {answer.trace.seconds} s of {seconds} s"
    _check_bill(strategy, answer, engine)


async def check_engine(engine: Engine, question: str = "What is 3 + 4?") -> None:
    """The laws of an engine: every sample ends with one finish; tokens are counted; max_tokens holds; what it claims to
    be able to do it does (SEEDS, LOGPROBS, N_SAMPLES, CONTINUES); a closed stream settles. Raises AssertionError."""
    request = Request.ask(question)
    sampling = Sampling(max_tokens=24, seed=5)
    drafts = await _drafts(engine, request, sampling)
    assert len(drafts) == 1, f"{engine.name}: one sample expected, got {drafts}"
    assert drafts[0].tokens > 0, f"{engine.name}: a draft without tokens: {drafts}"
    assert drafts[0].tokens <= sampling.max_tokens, f"{engine.name}: {drafts[0].tokens} tokens of {sampling.max_tokens}"
    if Ability.SEEDS in engine.can:
        again = await _drafts(engine, request, sampling)
        assert again[0].text == drafts[0].text, f"{engine.name} claims SEEDS: same seed, another text"
    if Ability.LOGPROBS in engine.can:
        scored = (await _drafts(engine, request, dataclasses.replace(sampling, top_logprobs=3)))[0]
        assert every_token_told(scored), f"{engine.name}: one logprob a token expected"
        assert all(logprob <= 1e-6 for logprob in scored.logprobs), f"{engine.name}: a logprob above 0"
    if Ability.N_SAMPLES in engine.can:
        many = await _drafts(engine, request, sampling, 3)
        assert len(many) == 3, f"{engine.name} claims N_SAMPLES: 3 samples expected, got {len(many)}"
    stream = engine.stream(request.messages, dataclasses.replace(sampling, max_tokens=64), 1)
    async for _ in stream:
        break
    overrun = await stream.aclose()
    assert overrun.tokens >= 0


def every_token_told(draft: Draft) -> bool:
    """Whether a draft has a logprob for each token, but for an end token and for tokens that end within a character:
    servers that send whole characters (llama.cpp) tell the logprob of the last token of a character alone."""
    within = sum(len(character.encode()) - 1 for character in draft.text)
    return draft.tokens - 1 - within <= len(draft.logprobs) <= draft.tokens


async def _drafts(engine: Engine, request: Request, sampling: Sampling, n: int = 1) -> list[Draft]:
    got = [Collected(0.0) for _ in range(n)]
    stream = engine.stream(request.messages, sampling, n)
    async for delta in stream:
        assert got[delta.index].finish is None, f"{engine.name}: a delta after the finish of sample {delta.index}"
        got[delta.index].add(delta, lambda: 0.0)
    assert await stream.aclose() is not None
    assert all(one.finish for one in got), f"{engine.name}: a sample without finish"
    return [one.draft() for one in got]


async def check_scorer(scorer: Scorer, paths: Sequence[Path] = ()) -> None:
    """The laws of a scorer: one score per path, in [0, 1], in order; the same paths, the same scores; an empty batch is
    no error; a draft without what it reads is a Score with `failure`. Raises AssertionError."""
    paths = paths or _paths(scorer.top_logprobs or 0)
    request = Request.ask("What is 3 + 4?", Kind.NUMBER)
    scores = await scorer.score(request, paths)
    assert len(scores) == len(paths), f"{scorer.name}: {len(scores)} scores for {len(paths)} paths"
    assert all(0 <= score.value <= 1 for score in scores), f"{scorer.name}: a score outside [0, 1]"
    assert all(isinstance(score.usage, Usage) for score in scores)
    assert await scorer.score(request, paths) == scores, f"{scorer.name}: the same paths, other scores"
    assert await scorer.score(request, []) == []
    bare = (Step(1, 0, Draft("", Finish.EOS, 0)),)
    assert (await scorer.score(request, [bare]))[0].failure, f"{scorer.name}: scored an empty draft without a word"


def _paths(top: int) -> list[Path]:
    tops = tuple(-0.5 - k for k in range(top))
    drafts = [
        Draft(f"The answer is {value}.", Finish.EOS, 3, (-0.5, -0.1 * value, -0.2), (tops,) * 3) for value in (7, 7, 8)
    ]
    return [
        (Step(index, 0, draft, Value(draft.text[14], Rule.ANSWER_IS)),) for index, draft in enumerate(drafts, start=1)
    ]


def registered_strategies() -> list[Strategy]:
    """Every registered strategy with default knobs, plug-ins included."""
    return [registry.strategy_class(name)() for name in registry.names("strategies")]
