"""The road: draws, budgets, deadlines, failures and cancellation, on virtual time."""

import asyncio
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from poise.core import ROOT, Ability, Finish, Goal, Kind, Pick, Request, Sampling, Stopped, Thinking, ThinkingMode
from poise.costs import Budget
from poise.engines.scripted import Script, Scripted
from poise.errors import AbilityMissing, ConfigError, EngineUnreachable, NoAnswer, UnknownName
from poise.run import solve
from poise.seams import Plan
from poise.strategies.base import Plain, voted
from poise.strategies.best_of_n import BestOfN
from poise.strategies.cascade import Cascade
from poise.strategies.direct import Direct
from poise.strategies.first_finish import FirstFinish
from poise.strategies.self_consistency import SelfConsistency
from poise.testing import timeless, virtual
from poise.trace import Drawn, Failed, Forked, Launched, Opened, Picked, Trace

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)
SURE = Script((("7", 1.0),), (20, 20), first_byte_seconds=0.1, seconds_per_token=0.01)


def run(strategy, script=SURE, budget=Budget(), request=REQUEST, seed=1, trace=None, per_delta=1):
    engine = Scripted(lambda _: script, per_delta=per_delta)
    plan = Plan(strategy, (("main", "scripted"),), budget=budget)
    return virtual(solve(request, plan, {"scripted": engine}, seed=seed, trace=trace))


def test_one_draw_answers_with_a_bill():
    answer = run(Direct())
    assert (answer.value.text, answer.stopped) == ("7", Stopped.DONE)
    usage = answer.usage
    assert (usage.calls, usage.new_tokens, usage.overrun_tokens) == (1, 20, 0)
    assert usage.seconds == pytest.approx(0.3)
    assert usage.flops > 0
    assert not usage.estimated
    assert [type(event) for event in answer.trace.events] == [Opened, Launched, Drawn, Picked]
    assert answer.trace.first_token_seconds == pytest.approx(0.11)


def test_draws_run_at_once():
    answer = run(SelfConsistency(8))
    assert answer.usage.seconds == pytest.approx(0.3)
    assert answer.usage.busy_seconds == pytest.approx(8 * 0.3)
    assert answer.confidence == 1.0


def test_another_seed_another_trace():
    mixed = replace(SURE, answers=(("7", 0.5), ("8", 0.5)), tokens=(5, 50))
    one, same, other = (run(SelfConsistency(4), mixed, seed=seed).trace for seed in (1, 1, 2))
    assert timeless(one) == timeless(same)
    assert timeless(one)[2:] != timeless(other)[2:]


def test_arms_of_one_seed_share_their_first_draw():
    mixed = replace(SURE, answers=(("7", 0.5), ("8", 0.5)), tokens=(5, 50))
    one = run(Direct(prompt="cot"), mixed, seed=3).trace.steps[1].draft
    eight = run(SelfConsistency(8), mixed, seed=3).trace.steps[1].draft
    assert one == eight


def test_parallel_draws_share_the_token_ceiling():
    answer = run(SelfConsistency(8), budget=Budget(new_tokens=80))
    assert answer.usage.new_tokens <= 80
    granted = [event.max_tokens for event in answer.trace.of(Launched) if event.parent == 0]
    assert len(granted) == 8
    assert set(granted) <= {8, 9}
    assert answer.stopped is Stopped.BUDGET
    assert answer.value.text == "7"  # by the closing draw, from tokens kept back


def test_thoughts_stay_under_the_token_ceiling():
    request = replace(REQUEST, sampling=Sampling(thinking=Thinking(ThinkingMode.EXACT)))
    usage = run(SelfConsistency(8), budget=Budget(new_tokens=400), request=request).usage
    assert usage.new_tokens + usage.thought_tokens <= 400


def test_a_ceiling_too_small_for_eight_draws_buys_the_few_it_holds():
    answer = run(SelfConsistency(8), budget=Budget(total_tokens=260))
    assert 1 <= answer.usage.calls < 8
    assert answer.value.text == "7"
    assert answer.usage.total_tokens <= 260


def test_another_prompt_under_the_same_question_is_bounded_anew():
    request = Request.ask("Name a colour.")
    script = replace(SURE, tokens=(4, 9))
    with pytest.raises(NoAnswer, match="budget"):
        run(Direct(prompt="chain_of_draft"), script, Budget(total_tokens=90), request)
    cascade = Cascade((Direct(), Direct(prompt="chain_of_draft")))
    assert run(cascade, script, Budget(total_tokens=90), request).usage.total_tokens <= 90


def test_a_cascade_over_a_role_that_has_no_engine_is_refused_before_a_token():
    engine = Scripted()
    plan = Plan(Cascade((Direct(), Direct()), roles=("main", "large")), (("main", "scripted"),))
    with pytest.raises(UnknownName, match="large"):
        virtual(solve(REQUEST, plan, {"scripted": engine}))
    assert engine.generated == 0


def test_followers_end_when_a_plan_is_refused():
    async def scenario():
        trace = Trace()
        follower = asyncio.create_task(anext(aiter(trace.follow()), None))
        await asyncio.sleep(0)
        with pytest.raises(UnknownName):
            await solve(REQUEST, Plan(Direct(), (("main", "none"),)), {"scripted": Scripted()}, trace=trace)
        assert await follower is None
        assert [event async for event in trace.follow()] == []

    virtual(scenario())


class Breaking:
    """A scorer with a bug."""

    name, needs, top_logprobs = "breaking", frozenset(), None

    async def score(self, request, paths):
        raise ZeroDivisionError("bug")


@dataclass(frozen=True, slots=True)
class Scoring(Plain):
    """Scores its only draft beside the flow."""

    name: ClassVar[str] = "scoring"
    prompt: str = "cot"

    async def solve(self, request, run):
        async with run.flow() as flow:
            flow.launch()
            async for done in flow:
                if done.score is None:
                    flow.score(done.step)
        return Pick(done.step)

    def pick(self, request, steps, scores):
        return None


def test_a_scorer_that_breaks_does_not_hang_the_flow():
    plan = Plan(Scoring(), (("main", "scripted"),), "breaking")
    with pytest.raises(ZeroDivisionError):
        virtual(solve(REQUEST, plan, {"scripted": Scripted()}, {"breaking": Breaking()}))


def test_refused_launches_show_as_budget():
    answer = run(SelfConsistency(8), budget=Budget(calls=3))
    assert answer.stopped is Stopped.BUDGET
    assert answer.usage.calls == 3


def test_the_deadline_answers_with_the_best_so_far():
    slow = replace(SURE, tokens=(20, 200), answers=(("7", 0.9), ("8", 0.1)))
    answer = run(SelfConsistency(8), slow, Budget(seconds=1.0))
    assert answer.stopped is Stopped.DEADLINE
    assert answer.value is not None
    assert answer.trace.seconds <= 1.05
    assert any(step.draft.finish is Finish.CLOSED for step in answer.trace.steps.values())


def test_nothing_finished_is_closed_by_force():
    endless = replace(SURE, tokens=(5_000, 5_000))
    request = replace(REQUEST, sampling=Sampling(max_tokens=5_000))
    answer = run(Direct(), endless, Budget(seconds=2.0), request)
    assert (answer.value.text, answer.stopped) == ("7", Stopped.DEADLINE)
    assert answer.trace.seconds <= 2.05
    closing = answer.trace.steps[answer.trace.events[-1].step]
    assert closing.suffix
    assert closing.parent == 1


def test_tokens_are_kept_back_for_the_closing_draw():
    endless = replace(SURE, tokens=(5_000, 5_000))
    request = replace(REQUEST, sampling=Sampling(max_tokens=5_000))
    answer = run(Direct(), endless, Budget(new_tokens=200), request)
    assert answer.value is None or answer.value.text == "7"
    assert answer.usage.new_tokens <= 200


def test_a_deadline_before_any_text_is_no_answer():
    silent = replace(SURE, first_byte_seconds=60.0)
    with pytest.raises(NoAnswer, match="deadline") as caught:
        run(SelfConsistency(2), silent, Budget(seconds=0.5))
    trace = caught.value.trace
    assert trace.seconds <= 0.55
    assert trace.usage.calls == 2
    assert trace.usage.estimated


def test_some_failed_draws_do_not_matter():
    answer = run(SelfConsistency(16), replace(SURE, failure=0.3))
    failed = list(answer.trace.of(Failed))
    assert answer.value.text == "7"
    assert 0 < len(failed) < 16
    assert {event.error for event in failed} == {"EngineUnreachable"}


def test_all_failed_draws_raise_with_their_cause():
    with pytest.raises(NoAnswer, match="every draw failed") as caught:
        run(SelfConsistency(3), replace(SURE, failure=1.0))
    assert isinstance(caught.value.__cause__, EngineUnreachable)
    assert len(list(caught.value.trace.of(Failed))) == 3


def test_losers_are_cancelled_and_billed():
    engine = Scripted(lambda _: replace(SURE, tokens=(20, 200)), per_delta=1)
    plan = Plan(FirstFinish(k=8, m=1), (("main", "scripted"),))
    answer = virtual(solve(REQUEST, plan, {"scripted": engine}, seed=1))
    usage = answer.usage
    assert usage.new_tokens + usage.overrun_tokens == engine.generated
    assert usage.calls == 8
    assert answer.trace.seconds < 2.0


def test_what_cannot_work_is_refused_before_a_token():
    engine = Scripted()
    engine.can = frozenset()
    engines = {"plain": engine, "able": Scripted(name="able")}

    async def refused(plan, request=REQUEST):
        return await solve(request, plan, engines)

    with pytest.raises(UnknownName, match="'plain'"):
        virtual(refused(Plan(Direct(), (("main", "plane"),))))
    with pytest.raises(ConfigError, match="scorer"):
        virtual(refused(Plan(BestOfN(2), (("main", "plain"),))))
    with pytest.raises(UnknownName, match="prompt"):
        virtual(refused(Plan(Direct(prompt="cott"), (("main", "plain"),))))
    with pytest.raises(AbilityMissing, match="able"):
        virtual(refused(Plan(Continuing(), (("main", "plain"),))))
    with pytest.raises(ConfigError, match="hash"):
        virtual(refused(Plan(Direct(), (("main", "plain"),), prompt_hash="0" * 16)))
    assert engine.generated == 0


@dataclass(frozen=True, slots=True)
class Continuing(Plain):
    """Two steps, one after the other."""

    name: ClassVar[str] = "continuing"
    prompt: str = "cot"

    @property
    def needs(self):
        return frozenset({Ability.CONTINUES})

    async def solve(self, request, run):
        first = await run.draw([ROOT], replace(run.sampling, stop=("\n",)))
        return self.pick(request, await run.draw(first), {})

    def pick(self, request, steps, scores):
        return voted(request, steps[-1:])


def test_a_path_is_all_its_steps():
    answer = run(Continuing(), replace(SURE, steps=2))
    first, second = answer.trace.path(2)
    assert first.draft.finish is Finish.DELIMITER
    assert answer.text == first.text + second.text
    assert answer.value.text == "7"


@dataclass(frozen=True, slots=True)
class Stubborn(Plain):
    """Never comes back by itself."""

    name: ClassVar[str] = "stubborn"
    prompt: str = "cot"

    async def solve(self, request, run):
        await run.draw([ROOT])
        await asyncio.sleep(1e6)

    def pick(self, request, steps, scores):
        return Pick(steps[0]) if steps else None


def test_a_strategy_that_never_returns_is_picked_for():
    answer = run(Stubborn(), budget=Budget(seconds=1.0))
    assert (answer.value.text, answer.stopped) == ("7", Stopped.DEADLINE)
    assert answer.trace.seconds <= 1.05


@dataclass(frozen=True, slots=True)
class Watching(Plain):
    """Closes its only stream after five tokens."""

    name: ClassVar[str] = "watching"
    prompt: str = "cot"

    async def solve(self, request, run):
        async with run.flow() as flow:
            flow.launch(watch=lambda deltas: sum(delta.tokens for delta in deltas) >= 5)
            steps = [done.step async for done in flow]
        return Pick(steps[0])

    def pick(self, request, steps, scores):
        return None


def shared(strategy, script=SURE, budget=Budget(), slots=16):
    engine = Scripted(lambda _: script, per_delta=1, slots=slots)
    plan = Plan(strategy, (("main", "scripted"),), budget=budget)
    return virtual(solve(REQUEST, plan, {"scripted": engine}, seed=1)), engine


def test_draws_of_one_parent_share_a_call_and_its_prompt():
    answer, engine = shared(SelfConsistency(8))
    single = run(SelfConsistency(8))
    assert answer.usage.calls == 8
    assert answer.usage.prompt_tokens * 8 == single.usage.prompt_tokens
    assert answer.usage.new_tokens == engine.generated
    assert answer.usage.flops < single.usage.flops
    assert answer.trace.steps[1].draft == single.trace.steps[1].draft


def test_no_call_has_more_samples_than_the_engine_has_slots():
    answer, _ = shared(SelfConsistency(8), slots=3)
    assert [event.usage.prompt_tokens > 0 for event in answer.trace.of(Drawn)].count(True) == 3


def test_finished_samples_of_a_closed_call_still_vote():
    uneven = replace(SURE, tokens=(20, 400), answers=(("7", 0.9), ("8", 0.1)))
    answer, engine = shared(SelfConsistency(8), uneven, Budget(seconds=1.5))
    finishes = [step.draft.finish for step in answer.trace.steps.values()]
    assert answer.stopped is Stopped.DEADLINE
    assert answer.value is not None
    assert 0 < finishes.count(Finish.CLOSED) < 8
    assert answer.usage.new_tokens + answer.usage.overrun_tokens == engine.generated


def test_a_failed_call_fails_the_samples_that_had_not_ended():
    with pytest.raises(NoAnswer):
        shared(SelfConsistency(4), replace(SURE, failure=1.0))


def test_a_watch_closes_its_stream():
    answer = run(Watching())
    (step,) = answer.trace.steps.values()
    assert step.draft.finish is Finish.CLOSED
    assert answer.usage.new_tokens == 5


def test_a_cascade_stops_at_the_first_sure_arm():
    answer = run(Cascade((SelfConsistency(2), SelfConsistency(8)), accept=0.9))
    assert answer.usage.calls == 2
    forks = list(answer.trace.of(Forked))
    assert (forks[0].pick, forks[1].confidence) == (None, 1.0)


def test_a_cascade_escalates_and_keeps_the_surest():
    doubtful = replace(SURE, answers=(("7", 0.5), ("8", 0.3), ("9", 0.2)))
    answer = run(Cascade((SelfConsistency(4), SelfConsistency(8)), accept=0.99), doubtful)
    assert answer.usage.calls == 12


def test_followers_see_everything_live():
    async def scenario():
        trace, seen = Trace(), []

        async def follow():
            async for item in trace.follow():
                seen.append(item)

        follower = asyncio.create_task(follow())
        await asyncio.sleep(0)
        engine = Scripted(lambda _: SURE, per_delta=1)
        await solve(REQUEST, Plan(Direct(), (("main", "scripted"),)), {"scripted": engine}, trace=trace)
        await follower
        return seen

    seen = virtual(scenario())
    assert sum(isinstance(item, tuple) for item in seen) == 20
    assert isinstance(seen[-1], Picked)


def test_cancelling_a_run_closes_its_draws():
    async def scenario():
        engine, trace = Scripted(lambda _: SURE, per_delta=1), Trace()
        task = asyncio.create_task(
            solve(REQUEST, Plan(SelfConsistency(4), (("main", "scripted"),)), {"scripted": engine}, trace=trace)
        )
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.load().in_flight == 0
        usage = trace.usage
        assert usage.new_tokens + usage.overrun_tokens == engine.generated
        assert len(asyncio.all_tasks()) == 1

    virtual(scenario())


def test_a_bug_in_a_plug_in_is_not_swallowed():
    class Broken(Scripted):
        def stream(self, prompt, sampling, n=1):
            raise ZeroDivisionError("bug")

    plan = Plan(SelfConsistency(2), (("main", "scripted"),))
    with pytest.raises(ZeroDivisionError):
        virtual(solve(REQUEST, plan, {"scripted": Broken()}))


def test_the_tighter_of_plan_and_request_budget_holds():
    request = replace(REQUEST, goal=Goal(Budget(calls=2)))
    assert run(SelfConsistency(8), budget=Budget(calls=5), request=request).usage.calls == 2
