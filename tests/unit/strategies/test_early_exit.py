"""Early exit: when each rule fires and when not, the overlap, what is billed, and what goes wrong."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces import CLOSING, LONG, REQUEST, SURE, check_bill, check_random_deadlines, failing, launches, run, step

from poise.core import Ability, Finish, Stopped
from poise.costs import Budget
from poise.errors import ConfigError
from poise.strategies.early_exit import EarlyExit, ExitRule
from poise.testing import check_strategy
from poise.trace import Drawn, Launched

AGREE = EarlyExit(every=8, k=3)
BELIEVE = EarlyExit(every=8, rule=ExitRule.CONFIDENCE, sure=0.8)  # scripted probes: .806 where right, .730 where wrong
MANY = tuple((str(value), 1.01 if value == 7 else 1.0) for value in range(7, 1000))  # probes agree by chance: never


def probes(answer):
    return [event.step for event in answer.trace.of(Drawn) if event.step.suffix]


def reasoning(answer):
    return [event.step for event in answer.trace.of(Drawn) if not event.step.suffix]


@pytest.mark.parametrize("strategy", [EarlyExit(every=8, k=2), BELIEVE, EarlyExit(every=1, k=1)], ids=str)
def test_the_laws(strategy):
    check_strategy(strategy)


def test_it_stops_after_k_probes_that_agree():
    answer, engine = run(AGREE, SURE)
    assert [probe.value.text for probe in probes(answer)] == ["7"] * 3
    assert (answer.value.text, answer.confidence, answer.stopped) == ("7", 1.0, Stopped.AGREED)
    assert answer.text == "".join(step.text for step in reasoning(answer)[:3]) + CLOSING + " 7."
    cancelled = reasoning(answer)[3]
    assert (cancelled.draft.finish, cancelled.draft.tokens) == (Finish.CLOSED, 4)
    check_bill(answer, engine)


def test_it_does_not_stop_before_the_probes_settle():
    """Probes differ while fewer than 40 words stand before them: three after that must agree."""
    answer, _ = run(AGREE, replace(LONG, answers=MANY, settles=40))
    settled = [probe.value.text == "7" for probe in probes(answer)]
    assert settled == [False] * 4 + [True] * 3
    assert answer.stopped is Stopped.AGREED


def test_reasoning_goes_on_while_a_probe_is_drawn():
    answer, _ = run(AGREE, SURE)
    starts = {event.id: (event.parent, event.at) for event in answer.trace.of(Launched)}
    for first, second in ((2, 3), (4, 5)):
        assert starts[first] == starts[second]
    assert answer.trace.seconds == pytest.approx(3 * (0.05 + 8 * 0.01) + 0.05 + 4 * 0.01)  # one probe, not three


def test_a_path_that_ends_first_answers_for_itself():
    answer, engine = run(AGREE, replace(SURE, tokens=(14, 14)))
    assert (answer.value.text, answer.stopped) == ("7", Stopped.DONE)
    assert CLOSING not in answer.text
    check_bill(answer, engine)


def test_at_the_most_tokens_the_last_probe_answers():
    answer, _ = run(EarlyExit(every=24, k=9), replace(SURE, tokens=(90, 90)))
    assert [tokens for _, _, tokens in launches(answer)] == [24, 16, 24, 16, 16, 16]
    assert (answer.stopped, answer.confidence) == (Stopped.DONE, pytest.approx(3 / 9))
    assert answer.text.endswith(CLOSING + " 7.")


def test_confidence_stops_at_the_first_sure_probe():
    answer, _ = run(BELIEVE, SURE)
    assert (len(probes(answer)), answer.stopped) == (1, Stopped.AGREED)
    assert answer.confidence == pytest.approx(0.8065, abs=1e-3)


def test_confidence_is_not_reached_by_doubtful_probes():
    answer, _ = run(BELIEVE, replace(LONG, answers=(("7", 0.0), ("8", 1.0)), tokens=(90, 90)))
    assert len(probes(answer)) == 8
    assert (answer.stopped, answer.confidence) == (Stopped.DONE, pytest.approx(0.7298, abs=1e-3))


def test_only_the_confidence_rule_needs_logprobs():
    assert AGREE.needs == {Ability.CONTINUES}
    assert BELIEVE.needs == {Ability.CONTINUES, Ability.LOGPROBS}


def probe(id, value, **draft):
    return step(id, f" {value}.", suffix=CLOSING, **draft)


def test_pieces_of_reasoning_are_no_answers():
    piece = step(1, "The answer is 5.\nNow", Finish.LENGTH)
    assert piece.value is not None
    assert AGREE.pick(REQUEST, [piece], {}) is None
    assert AGREE.pick(REQUEST, [], {}) is None
    assert AGREE.pick(REQUEST, [piece, probe(2, 6)], {}).step.id == 2
    assert AGREE.pick(REQUEST, [piece, step(2, " 6.", Finish.CLOSED, suffix=CLOSING)], {}) is None


def test_the_pick_is_the_last_answer_and_says_how_many_agree():
    steps = [probe(2, 6), probe(4, 7), probe(6, 7.0), probe(8, "unclear")]
    pick = AGREE.pick(REQUEST, steps, {})
    assert (pick.step.id, pick.confidence) == (6, pytest.approx(2 / 3))
    ended = AGREE.pick(REQUEST, [*steps[:3], step(9, "The answer is 6.")], {})
    assert (ended.step.id, ended.confidence) == (9, pytest.approx(1 / 3))
    assert AGREE.pick(REQUEST, [step(1, "The answer is 6.")], {}).confidence is None


def test_probes_without_a_value_never_fire():
    answer, _ = run(AGREE, replace(SURE, answers=(("nothing", 1.0),), tokens=(90, 90)))
    assert len(probes(answer)) >= 8
    assert answer.stopped is not Stopped.AGREED


def test_a_probe_without_logprobs_has_no_certainty():
    assert BELIEVE.pick(REQUEST, [probe(2, 7)], {}).confidence is None
    assert BELIEVE.pick(REQUEST, [probe(2, 7, logprobs=(0.0, -0.0))], {}).confidence == 1.0


@given(st.permutations(range(4)))
@settings(deadline=None)
def test_the_pick_does_not_depend_on_the_order_of_completion(order):
    steps = [step(1, "so", Finish.LENGTH), probe(2, 6), probe(4, 7), probe(6, 7)]
    pick = AGREE.pick(REQUEST, [steps[at] for at in order], {})
    assert (pick.step.id, pick.confidence) == (6, pytest.approx(2 / 3))


def test_a_failed_probe_delays_the_stop():
    whole, _ = run(AGREE, SURE)
    answer, engine = run(AGREE, engine=failing(SURE, 2))
    assert (answer.value.text, answer.stopped) == ("7", Stopped.AGREED)
    assert len(reasoning(answer)) == len(reasoning(whole)) + 1
    check_bill(answer, engine)


def test_failed_reasoning_leaves_the_probes_so_far():
    answer, engine = run(AGREE, engine=failing(SURE, 5))  # the third piece
    assert len(probes(answer)) == 2
    assert (answer.value.text, answer.confidence) == ("7", pytest.approx(2 / 3))
    check_bill(answer, engine)


def test_an_end_without_a_value_is_probed():
    answer, _ = run(AGREE, replace(SURE, answers=(("unsure", 1.0),), tokens=(6, 6)))
    assert [event.parent for event in answer.trace.of(Launched)] == [0, 1]
    assert AGREE.pick(REQUEST, [step(1, "I think so."), probe(2, 7)], {}).step.id == 2


@pytest.mark.parametrize("tokens", [12, 20, 31])
def test_a_tight_budget_buys_an_answer_first(tokens):
    answer, _ = run(AGREE, replace(SURE, tokens=(90, 90)), Budget(new_tokens=tokens))
    assert answer.value.text == "7"
    assert answer.usage.new_tokens + answer.usage.overrun_tokens <= tokens


@pytest.mark.parametrize("strategy", [AGREE, BELIEVE], ids=str)
def test_random_deadlines(strategy):
    check_random_deadlines(strategy, replace(LONG, tokens=(10, 90), settles=30))


@pytest.mark.parametrize(
    ("knobs", "field", "allowed"),
    [
        ({"every": 0}, "every", "1 to 100,000"),
        ({"k": 0}, "k", "1 to 100,000"),
        ({"probe_tokens": 10**6}, "probe_tokens", "1 to 100,000"),
        ({"sure": 0.0}, "sure", "above 0, up to 1"),
        ({"sure": float("nan")}, "sure", "above 0, up to 1"),
    ],
)
def test_absurd_knobs_are_refused(knobs, field, allowed):
    with pytest.raises(ConfigError) as caught:
        EarlyExit(**knobs)
    assert (caught.value.field, caught.value.allowed) == (field, allowed)
