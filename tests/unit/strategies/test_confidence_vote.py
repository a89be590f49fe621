"""Confidence vote: weights, filters, the watch, the early stop, and what goes wrong."""

import random
import time
from dataclasses import replace

import pytest
from pieces import REQUEST, check_bill, check_random_deadlines, failing, launches, run, step

from poise.core import Ability, Delta, Finish, Stopped
from poise.costs import Budget
from poise.engines.scripted import Script, Scripted
from poise.errors import AbilityMissing, ConfigError
from poise.search import confidence
from poise.search.confidence import Span
from poise.strategies.confidence_vote import ConfidenceVote, Mode
from poise.testing import check_strategy
from poise.trace import Drawn

OFFLINE = ConfidenceVote(4, Mode.OFFLINE, keep=1.0)
ONLINE = ConfidenceVote(12, keep=0.5, window=8)
MIXED = Script((("7", 0.55), ("8", 0.45)), (20, 40), first_byte_seconds=0.05, seconds_per_token=0.01)


def drafts(answer):
    return [event.step for event in answer.trace.of(Drawn)]


def draft(id, value, logprobs=(), finish=Finish.EOS, **more):
    return step(id, f"The answer is {value}.", finish, logprobs=tuple(logprobs), **more)


@pytest.mark.parametrize("strategy", [replace(OFFLINE, keep=0.5), ONLINE, replace(ONLINE, top_logprobs=5)], ids=str)
def test_the_laws(strategy):
    check_strategy(strategy)


def test_one_sure_draft_outweighs_two_doubtful_ones():
    steps = [draft(1, 8, [-2.0] * 3), draft(2, 8, [-2.0] * 3), draft(3, 7, [-0.1] * 3)]
    pick = OFFLINE.pick(REQUEST, steps, {})
    assert (pick.step.id, pick.votes) == (3, 3)
    assert pick.confidence == pytest.approx(0.9048 / (0.9048 + 2 * 0.1353), abs=1e-3)


def test_the_lowest_share_is_left_out():
    steps = [draft(1, 8, [-0.9]), draft(2, 8, [-0.8]), draft(3, 8, [-0.7]), draft(4, 7, [-0.1])]
    assert OFFLINE.pick(REQUEST, steps, {}).step.id == 1
    pick = replace(OFFLINE, keep=0.5).pick(REQUEST, steps, {})
    assert (pick.step.id, pick.votes) == (4, 2)  # 7, and the surest 8
    pick = replace(OFFLINE, keep=0.1).pick(REQUEST, steps, {})
    assert (pick.step.id, pick.votes, pick.confidence) == (4, 1, None)


def test_spans_look_at_different_tokens():
    early, late = [-3.0, -3.0, -0.1, -0.1, -0.1], [-0.2, -0.2, -0.2, -2.0, -2.0]
    steps = [draft(1, 7, early), draft(2, 8, late)]
    picks = {span: replace(OFFLINE, span=span, window=2).pick(REQUEST, steps, {}).step.id for span in Span}
    assert picks == {Span.MEAN: 2, Span.TAIL: 1, Span.LOWEST: 2}


def test_candidates_are_read_when_asked_for():
    """The chosen tokens are equally likely; the candidates beside them are not."""
    sure = draft(1, 7, [-0.5], alternatives=((-0.5, -9.0, -9.0),))
    doubtful = draft(2, 8, [-0.5], alternatives=((-0.5, -1.0, -1.1),))
    pick = replace(OFFLINE, top_logprobs=3).pick(REQUEST, [doubtful, sure], {})
    assert (pick.step.id, pick.confidence) == (1, pytest.approx(18.5 / 3 / (18.5 / 3 + 2.6 / 3)))
    assert OFFLINE.pick(REQUEST, [doubtful, sure], {}).confidence == pytest.approx(0.5)


def test_drafts_without_logprobs_or_value():
    bare = [draft(1, 8), draft(2, 8), draft(3, 7)]
    assert (OFFLINE.pick(REQUEST, bare, {}).step.id, OFFLINE.pick(REQUEST, bare, {}).votes) == (1, 3)
    assert OFFLINE.pick(REQUEST, [*bare, draft(4, 7, [-5.0])], {}).step.value.text == "7"
    assert OFFLINE.pick(REQUEST, [], {}) is None
    silent = [step(1, "who knows", logprobs=(-0.1,)), draft(2, 7, [-4.0])]
    for strategy in (replace(OFFLINE, keep=0.1), ONLINE):
        assert strategy.pick(REQUEST, silent, {}).step.id == 2
        assert strategy.pick(REQUEST, silent[:1], {}).votes == 0


def test_closed_drafts_never_vote():
    closed = [draft(id, 8, [-0.01], Finish.CLOSED) for id in (1, 2)]
    assert ONLINE.pick(REQUEST, closed, {}) is None
    assert ONLINE.pick(REQUEST, [*closed, draft(3, 7, [-3.0])], {}).step.id == 3


def test_offline_draws_all_and_records_logprobs():
    answer, _ = run(replace(OFFLINE, n=6), MIXED)
    assert len(launches(answer)) == 6
    assert all(len(draft.draft.logprobs) == draft.draft.tokens for draft in drafts(answer))
    assert not any(draft.draft.alternatives for draft in drafts(answer))
    with_candidates, _ = run(replace(OFFLINE, top_logprobs=4), MIXED)
    assert {len(tops) for draft in drafts(with_candidates) for tops in draft.draft.alternatives} == {4}


def lowest(draft):
    return confidence.windowed(draft.draft.logprobs, Span.LOWEST, 8)


def test_online_closes_what_falls_below_the_threshold_at_once_and_nothing_else():
    closed = survived = 0
    for seed in range(40):
        answer, engine = run(ONLINE, MIXED, seed=seed)
        check_bill(answer, engine)
        warm, watched = drafts(answer)[:4], drafts(answer)[4:]
        bar = confidence.threshold([lowest(draft) for draft in warm], 0.5)
        for draft in watched if answer.stopped is Stopped.DONE else ():
            before = draft.draft.logprobs[:-4]  # without the last delta
            assert len(before) < 8 or not confidence.below(confidence.windowed(before, Span.LOWEST, 8), bar)
            assert draft.finished or confidence.below(lowest(draft), bar)
            closed, survived = closed + (not draft.finished), survived + draft.finished
    assert min(closed, survived) >= 3


def test_the_first_draws_are_not_watched():
    for seed in range(6):
        answer, _ = run(ONLINE, MIXED, seed=seed)
        assert all(draft.finished for draft in drafts(answer) if draft.id <= 4)
        assert [id for id, _, _ in launches(answer)][:4] == [1, 2, 3, 4]


def test_it_stops_as_soon_as_the_leader_has_its_share():
    answer, _ = run(ONLINE, replace(MIXED, answers=(("7", 1.0),)))
    assert (answer.usage.calls, answer.stopped, answer.confidence) == (4, Stopped.AGREED, 1.0)


def test_it_does_not_stop_while_the_leader_has_less():
    for seed in range(8):
        answer, _ = run(ConfidenceVote(8, keep=1.0, window=64), MIXED, seed=seed)
        values = [draft.value.text for draft in drafts(answer)[:4]]
        assert (answer.usage.calls == 4) == (len(set(values)) == 1)


def test_one_vote_settles_nothing():
    """With keep .1 one of four warm-up drafts votes (two where they tie): alone it has all the weight."""
    went_on = 0
    for seed in range(8):
        answer, _ = run(replace(ONLINE, keep=0.1), replace(MIXED, answers=(("7", 1.0),)), seed=seed)
        assert answer.trace.events[-1].votes >= 2 or answer.stopped is Stopped.DONE
        went_on += answer.usage.calls > 4
    assert went_on


def test_losers_are_cancelled_and_billed():
    cut = 0
    for seed in range(10):
        answer, engine = run(ConfidenceVote(12, keep=1.0, window=64, bar=0.55), MIXED, seed=seed)
        check_bill(answer, engine)
        if answer.stopped is Stopped.AGREED and answer.usage.calls > 4:
            cut += any(not draft.finished for draft in drafts(answer))
    assert cut


def test_a_failed_warm_up_draw_is_replaced():
    answer, engine = run(ONLINE, engine=failing(replace(MIXED, answers=(("7", 1.0),)), 1, 3))
    assert (answer.usage.calls, answer.stopped) == (6, Stopped.AGREED)
    check_bill(answer, engine)


def test_when_most_draws_fail_the_rest_answers():
    answer, _ = run(ONLINE, engine=failing(MIXED, *range(1, 12)))
    assert (answer.usage.calls, len(drafts(answer)), answer.stopped) == (12, 1, Stopped.DONE)


def test_a_budget_that_ends_in_the_warm_up_still_answers():
    answer, _ = run(ONLINE, MIXED, Budget(calls=3))
    assert answer.value
    assert (answer.usage.calls, answer.stopped) == (3, Stopped.BUDGET)


def test_the_watch_reads_each_delta_once():
    """It is called with all deltas so far: reading them all each time would take 200 million steps here."""
    watch = ONLINE._watch(-5.5)
    dice = random.Random(1)
    deltas, started = [], time.process_time()
    for _ in range(20_000):
        deltas.append(Delta("x", 1, logprobs=(-dice.random(),)))
        assert not watch(deltas)
    assert time.process_time() - started < 10
    deltas += [Delta("x", 1, logprobs=(-6.0,))] * 7
    assert not watch(deltas)
    assert watch([*deltas, Delta("x", 1, logprobs=(-6.0,))])


def test_a_watch_without_logprobs_or_threshold_closes_nothing():
    assert not ONLINE._watch(-0.1)([Delta("x", 1)] * 50)
    assert not ONLINE._watch(float("-inf"))([Delta("x", 1, logprobs=(-100.0,))] * 50)


def test_the_pick_at_the_deadline_is_the_vote_of_solve():
    for seed in range(5):
        answer, _ = run(ONLINE, MIXED, seed=seed)
        pick = ONLINE.pick(REQUEST, drafts(answer), {})
        assert (pick.step.value, pick.confidence) == (answer.value, answer.confidence)


@pytest.mark.parametrize("strategy", [OFFLINE, ONLINE], ids=str)
def test_random_deadlines(strategy):
    check_random_deadlines(strategy, MIXED)


def test_an_engine_without_logprobs_is_refused():
    engine = Scripted(lambda _: MIXED)
    engine.can = frozenset(Ability) - {Ability.LOGPROBS}
    with pytest.raises(AbilityMissing, match="logprobs"):
        run(ONLINE, engine=engine)


@pytest.mark.parametrize(
    ("knobs", "field", "allowed"),
    [
        ({"n": 0}, "n", "1 to 10,000"),
        ({"n": 3}, "warmup", "2 to n = 3"),
        ({"warmup": 1}, "warmup", "2 to n = 16"),
        ({"keep": 0.0}, "keep", "above 0, up to 1"),
        ({"keep": 1.1}, "keep", "above 0, up to 1"),
        ({"bar": 0.5}, "bar", "above 0.5, up to 1"),
        ({"window": 0}, "window", "1 to 100,000"),
        ({"top_logprobs": 1}, "top_logprobs", "0, or 2 to 20: of one candidate, less is surer"),
        ({"top_logprobs": 21}, "top_logprobs", "0, or 2 to 20: of one candidate, less is surer"),
    ],
)
def test_absurd_knobs_are_refused(knobs, field, allowed):
    with pytest.raises(ConfigError) as caught:
        ConfidenceVote(**knobs)
    assert (caught.value.field, caught.value.allowed) == (field, allowed)


def test_offline_needs_no_warm_up():
    assert ConfidenceVote(1, Mode.OFFLINE).n == 1
