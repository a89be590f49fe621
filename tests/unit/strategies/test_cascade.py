"""Cascade: when it escalates, whom it believes, and what happens where an arm cannot answer."""

from dataclasses import replace

import pytest
from pieces import CLOSING, REQUEST, check_bill, run, step

from poise.core import Ability, Finish, Goal, Stopped
from poise.costs import Budget
from poise.engines.scripted import Script, Scripted
from poise.errors import AbilityMissing, NoAnswer
from poise.run import solve
from poise.scoring.logprob import MeanLogprob
from poise.seams import Plan
from poise.strategies.best_of_n import BestOfN
from poise.strategies.budget_forcing import BudgetForcing
from poise.strategies.cascade import Cascade
from poise.strategies.confidence_vote import ConfidenceVote
from poise.strategies.direct import Direct
from poise.strategies.early_exit import EarlyExit
from poise.strategies.self_consistency import SelfConsistency
from poise.testing import check_strategy, virtual
from poise.trace import Launched

EVEN = Script((("7", 0.5), ("8", 0.5)), (5, 20), first_byte_seconds=0.05, seconds_per_token=0.01)
RIGHT = replace(EVEN, answers=(("7", 1.0),))
WRONG = replace(EVEN, answers=(("8", 1.0),))
VALUELESS = replace(EVEN, answers=(("unsure", 1.0),))


def over(arms, small, large, budget=Budget(), accept=0.8, scorer=None):
    """(answer, engines of the launches, engines) of a cascade of two arms over two engines."""
    engines = {"small": Scripted(lambda _: small, "small"), "large": Scripted(lambda _: large, "large")}
    cascade = Cascade(arms, accept, ("main", "second"))
    plan = Plan(cascade, (("main", "small"), ("second", "large")), scorer.name if scorer else None)
    scorers = {scorer.name: scorer} if scorer else {}
    answer = virtual(solve(replace(REQUEST, goal=Goal(budget)), plan, engines, scorers, seed=2))
    return answer, [event.engine for event in answer.trace.of(Launched)], engines


ARMS = (SelfConsistency(3), SelfConsistency(2))


def test_a_sure_first_arm_answers_alone():
    answer, engines, _ = over(ARMS, WRONG, RIGHT)
    assert (engines, answer.value.text, answer.confidence) == (["small"] * 3, "8", 1.0)


@pytest.mark.parametrize(("accept", "opened"), [(0.66, 1), (0.67, 2)])
def test_it_escalates_below_the_bar_only(accept, opened):
    seeds = (seed for seed in range(50))
    for seed in seeds:
        answer, _ = run(Cascade((SelfConsistency(3), SelfConsistency(5)), accept), EVEN, seed=seed)
        values = [event.step.value.text for event in answer.trace.events if hasattr(event, "first")][:3]
        if len(set(values)) == 2:
            assert answer.usage.calls == (3 if opened == 1 else 8)
            return
    pytest.fail("no vote of two to one")


def test_it_escalates_on_a_low_score():
    arms = (BestOfN(2), BestOfN(2))
    for accept, expected in ((0.5, ["small"] * 2), (0.99, ["small"] * 2 + ["large"] * 2)):
        assert over(arms, RIGHT, RIGHT, accept=accept, scorer=MeanLogprob())[1] == expected


def test_an_arm_whose_engine_fails_is_passed_over():
    answer, engines, _ = over(ARMS, replace(RIGHT, failure=1.0), RIGHT)
    assert engines == ["small"] * 3 + ["large"] * 2
    assert (answer.value.text, answer.confidence, answer.stopped) == ("7", 1.0, Stopped.DONE)


def test_where_the_last_engine_fails_the_arm_before_it_answers():
    answer, engines, _ = over((Direct(), Direct()), WRONG, replace(RIGHT, failure=1.0))
    assert (engines, answer.value.text, answer.confidence) == (["small", "large"], "8", None)


def test_where_every_engine_fails_there_is_no_answer():
    dead = replace(RIGHT, failure=1.0)
    with pytest.raises(NoAnswer, match="every draw failed"):
        over(ARMS, dead, dead)


def test_without_a_confidence_it_escalates_and_believes_the_dearer_arm():
    answer, engines, _ = over((Direct(), Direct()), WRONG, RIGHT)
    assert (engines, answer.value.text) == (["small", "large"], "7")
    doubtful = replace(EVEN, answers=tuple((str(value), 1.0) for value in range(100, 200)))
    answer, _, _ = over((SelfConsistency(3), Direct()), doubtful, RIGHT)
    assert (answer.value.text, answer.confidence) == ("7", None)


def test_an_arm_without_a_value_does_not_replace_one_that_has_it():
    assert over((Direct(), Direct()), WRONG, VALUELESS)[0].value.text == "8"
    assert over((Direct(), Direct()), VALUELESS, RIGHT)[0].value.text == "7"
    assert over((Direct(), Direct()), VALUELESS, VALUELESS)[0].value is None


def test_a_budget_that_ends_between_arms_leaves_the_first():
    answer, engines, made = over((Direct(), SelfConsistency(4)), WRONG, RIGHT, Budget(calls=1))
    assert (engines, answer.value.text, answer.stopped) == (["small"], "8", Stopped.BUDGET)
    assert made["large"].generated == 0


def test_a_deadline_between_arms_leaves_the_first():
    slow = replace(RIGHT, first_byte_seconds=9.0)
    answer, engines, _ = over((Direct(), SelfConsistency(2)), WRONG, slow, Budget(seconds=1.0))
    assert engines == ["small", "large", "large"]
    assert (answer.value.text, answer.stopped) == ("8", Stopped.DEADLINE)
    assert answer.trace.seconds <= 1.05


def test_pieces_of_one_arm_are_no_answers_of_another():
    cascade = Cascade((BudgetForcing(), EarlyExit()))
    piece = step(1, "The answer is 5.\nand", Finish.LENGTH)
    assert cascade.pick(REQUEST, [piece], {}) is None
    assert cascade.pick(REQUEST, [piece, step(2, " 6.", suffix=CLOSING)], {}).step.id == 2
    assert Cascade((SelfConsistency(2), EarlyExit())).pick(REQUEST, [piece], {}).step.id == 1  # its first arm's rule


def test_the_laws_with_arms_in_pieces():
    check_strategy(Cascade((EarlyExit(every=8, k=2), BudgetForcing(12)), accept=0.9))


def test_it_is_billed_for_all_arms():
    answer, engine = run(Cascade((SelfConsistency(2), SelfConsistency(3)), accept=1.0), EVEN)
    check_bill(answer, engine)


def test_only_the_arms_of_an_engine_ask_abilities_of_it():
    """The small engine has no logprobs, and only the large one's arm reads them."""
    small, large = Scripted(name="small"), Scripted(name="large")
    small.can = small.can - {Ability.LOGPROBS}
    arms = (SelfConsistency(2), ConfidenceVote(n=4))
    plan = Plan(Cascade(arms, accept=1.0, roles=("main", "second")), (("main", "small"), ("second", "large")))
    assert virtual(solve(REQUEST, plan, {"small": small, "large": large})).text
    swapped = replace(plan, engines=(("main", "large"), ("second", "small")))
    with pytest.raises(AbilityMissing, match="small"):
        virtual(solve(REQUEST, swapped, {"small": small, "large": large}))
