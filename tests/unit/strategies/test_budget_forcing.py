"""Budget forcing: the cap, the forced answer, the continuations, and what goes wrong."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces import CLOSING, LONG, REQUEST, check_bill, check_random_deadlines, failing, launches, run, step

from poise.core import Ability, Finish, Stopped
from poise.costs import Budget
from poise.engines.scripted import Scripted
from poise.errors import AbilityMissing, ConfigError
from poise.strategies.budget_forcing import BudgetForcing
from poise.testing import check_strategy
from poise.trace import Drawn


def steps_of(answer):
    return [event.step for event in answer.trace.of(Drawn)]


@pytest.mark.parametrize("strategy", [BudgetForcing(16), BudgetForcing(40, 2)], ids=str)
def test_the_laws(strategy):
    check_strategy(strategy)


def test_reasoning_is_cut_at_the_cap_and_the_answer_forced():
    answer, engine = run(BudgetForcing(20))
    assert launches(answer) == [(1, 0, 20), (2, 1, 16)]
    reasoning, forced = steps_of(answer)
    assert (reasoning.draft.finish, reasoning.draft.tokens, reasoning.value) == (Finish.LENGTH, 20, None)
    assert forced.suffix.endswith(CLOSING)
    assert (answer.value.text, answer.stopped) == ("7", Stopped.DONE)
    check_bill(answer, engine)


def test_the_cap_never_exceeds_what_was_asked_for():
    answer, _ = run(BudgetForcing(1000))
    assert launches(answer)[0] == (1, 0, 64)


def test_a_text_that_ends_by_itself_is_not_forced():
    answer, _ = run(BudgetForcing(64), replace(LONG, tokens=(30, 30)))
    assert launches(answer) == [(1, 0, 64)]


def test_a_text_made_to_go_on_stays_within_the_cap():
    script = replace(LONG, tokens=(12, 12), remembers=False)
    answer, engine = run(BudgetForcing(30, continuations=5), script)
    first, second, third, forced = steps_of(answer)
    assert [step.suffix for step in (first, second, third)] == ["", "\n\nWait", "\n\nWait"]
    assert [step.draft.tokens for step in (first, second, third)] == [12, 12, 6]
    assert forced.suffix.endswith(CLOSING)
    assert answer.text.startswith(first.text + second.text + third.text)
    check_bill(answer, engine)


def test_continuations_are_counted():
    script = replace(LONG, tokens=(5, 5), remembers=False)
    assert [len(launches(run(BudgetForcing(60, n), script)[0])) for n in (0, 1, 3)] == [1, 2, 4]


def test_a_cut_continuation_is_no_answer_but_what_ended_before_it_is():
    ended = step(1, "The answer is 5.")
    waited = step(2, " Hmm, the answer is 6.\nso", Finish.LENGTH, suffix="\n\nWait", parent=1)
    forced = step(3, " 8.", suffix=CLOSING, parent=2)
    strategy = BudgetForcing()
    assert strategy.pick(REQUEST, [waited], {}) is None
    assert strategy.pick(REQUEST, [], {}) is None
    assert strategy.pick(REQUEST, [ended, waited], {}).step.id == 1
    assert strategy.pick(REQUEST, [ended, waited, forced], {}).step.id == 3
    assert strategy.pick(REQUEST, [ended, step(3, " um", suffix=CLOSING)], {}).step.id == 1


@given(st.permutations([1, 2, 3]))
@settings(deadline=None)
def test_the_pick_does_not_depend_on_the_order_of_completion(order):
    steps = {1: step(1, "so", Finish.LENGTH), 2: step(2, "The answer is 4."), 3: step(3, " 9.", suffix=CLOSING)}
    assert BudgetForcing().pick(REQUEST, [steps[id] for id in order], {}).step.id == 3


def test_a_failed_forced_answer_is_asked_for_once_more():
    answer, engine = run(BudgetForcing(20), engine=failing(LONG, 2))
    assert launches(answer) == [(1, 0, 20), (2, 1, 16), (3, 1, 16)]
    assert answer.value.text == "7"
    check_bill(answer, engine)


def test_a_failed_continuation_leaves_the_answer_before_it():
    answer, _ = run(BudgetForcing(60, 1), engine=failing(replace(LONG, tokens=(12, 12)), 2))
    assert answer.value is not None
    assert [step.id for step in steps_of(answer)] == [1]


def test_a_budget_without_room_for_the_answer_still_answers():
    answer, _ = run(BudgetForcing(20), budget=Budget(new_tokens=21))
    assert (answer.value.text, answer.stopped) == ("7", Stopped.BUDGET)
    assert answer.usage.new_tokens <= 21


@pytest.mark.parametrize("strategy", [BudgetForcing(20), BudgetForcing(60, 3)], ids=str)
def test_random_deadlines(strategy):
    check_random_deadlines(strategy, replace(LONG, tokens=(10, 90)))


def test_an_engine_that_cannot_continue_is_refused():
    engine = Scripted(lambda _: LONG)
    engine.can = frozenset(Ability) - {Ability.CONTINUES}
    with pytest.raises(AbilityMissing, match="continue"):
        run(BudgetForcing(), engine=engine)


@pytest.mark.parametrize(
    ("knobs", "field", "allowed"),
    [
        ({"reasoning_tokens": 0}, "reasoning_tokens", "1 to 100,000"),
        ({"reasoning_tokens": 10**9}, "reasoning_tokens", "1 to 100,000"),
        ({"continuations": -1}, "continuations", "0 to 100,000"),
    ],
)
def test_absurd_knobs_are_refused(knobs, field, allowed):
    with pytest.raises(ConfigError) as caught:
        BudgetForcing(**knobs)
    assert (caught.value.field, caught.value.allowed) == (field, allowed)
