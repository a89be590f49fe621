"""Races counted by who picked the edit: by hand, and where nothing or everything is planted."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tune_runs import FakeTuning

from poise.report.tuning.picks import as_far, contest, foresight, tallies
from poise.report.tuning.read import Step, Tried, read_tuning
from poise.tune.budget import Spent
from poise.tune.race import Race, Standing
from poise.tune.shortlist import By, Kind, Source


def edit(name, source, wins, losses, slope=None, rows=10):
    return Tried(name, Kind.SWAP, source, slope, Standing(wins, losses, rows))


def steps(*tried, winners):
    """Steps with these edits; `winners`: the prompt after each."""
    found, before = [], "start"
    for number, (edits, after) in enumerate(zip(tried, winners, strict=True)):
        found.append(Step(number, before, after or before, None, (), edits, 4, 10, 0, Spent()))
        before = after or before
    return found


G, R, F = Source.GRADIENT, Source.RANDOM, Source.FREE
TWO = steps(
    (edit("a", G, 4, 1), edit("b", G, 1, 1), edit("c", R, 0, 2), edit("d", F, 0, 4)),
    (edit("e", G, 0, 1), edit("f", R, 3, 0), edit("g", R, 1, 0)),
    (edit("h", F, 5, 0),),
    winners=("a", "f", "h"),
)


def test_edits_are_counted_by_source():
    told = {each.source: each for each in tallies(TWO)}
    assert list(told) == [G, R, F]
    assert [(each.tried, each.ahead, each.accepted) for each in told.values()] == [(3, 1, 1), (3, 2, 1), (2, 1, 1)]
    assert (told[G].wins, told[G].losses) == (5, 3)
    assert told[G].gain.mean == pytest.approx((0.3 + 0 - 0.1) / 3)
    assert told[G].ahead_share.mean == pytest.approx(1 / 3)
    assert told[R].accepted_share.low < 1 / 3 < told[R].accepted_share.high


def test_a_single_step_has_no_spread():
    assert [each.gain for each in tallies(TWO[:1])] == [None, None, None]


def test_the_gradient_meets_chance_where_both_were_raced():
    found = contest(TWO)
    assert (found.steps, found.won, found.decided) == (2, 1, 2)
    assert found.chance == pytest.approx(2 / 3 + 1 / 3)
    assert found.won_p == pytest.approx(1)
    assert found.difference.mean == pytest.approx(((0.15 - -0.2) + (-0.1 - 0.2)) / 2)
    assert contest(TWO[2:]) is None


@given(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=6), st.data())
def test_the_exact_test_counts_every_outcome(shares, data):
    count = data.draw(st.integers(0, len(shares)))
    chances = [0.0] * (len(shares) + 1)
    for outcome in itertools.product((0, 1), repeat=len(shares)):
        chance = 1.0
        for won, share in zip(outcome, shares, strict=True):
            chance *= share if won else 1 - share
        chances[sum(outcome)] += chance
    expected = sum(chance for chance in chances if chance <= chances[count] * (1 + 1e-9))
    assert as_far(count, shares) == pytest.approx(min(1, expected))


def test_ten_of_ten_against_a_coin_is_told_and_six_is_not():
    assert as_far(10, [0.5] * 10) == pytest.approx(2 / 1024)
    assert as_far(6, [0.5] * 10) > 0.7
    assert as_far(0, []) == 1


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    return read_tuning(
        FakeTuning(150, 20, worth=0.2, sight=3, race=Race(accept=0.6, keep=1.0)).write(
            tmp_path_factory.mktemp("seeing") / "run"
        )
    )


def test_a_gradient_that_sees_wins_more_races(seeing):
    found = contest(seeing.steps)
    assert found.won > found.chance
    assert found.won_p < 0.05
    assert found.difference.low > 0
    assert found.difference_p < 0.01
    assert foresight(seeing.steps).high < 0


def test_a_blind_one_is_not_called_better(tmp_path):
    found = contest(read_tuning(FakeTuning(80, 20, sight=0).write(tmp_path / "run")).steps)
    assert found.won_p > 0.05
    assert found.difference.low < 0 < found.difference.high


def test_without_slopes_there_is_no_foresight(tmp_path):
    reading = read_tuning(FakeTuning(8, 20, by=By.RANDOM).write(tmp_path / "run"))
    assert contest(reading.steps) is None
    assert foresight(reading.steps) is None
