"""The rule of a race with lengths: what it accepts is shorter or better, and how often it is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.errors import ConfigError
from poise.tune.lengths import Lengths, Outcome, Shorter, lengths, means, rights
from poise.tune.race import Race, Standing, standing

RULE, RACE = Shorter(), Race(block=10, most=50)
outcome = st.builds(Outcome, st.booleans(), st.integers(1, 90))
pair = st.lists(st.tuples(outcome, outcome), min_size=1, max_size=50).map(lambda rows: tuple(zip(*rows, strict=True)))


def rows(right, tokens, n=50):
    """The first so many right, all of one length."""
    return [Outcome(row < right, tokens) for row in range(n)]


def winner(incumbent, race=RACE, **candidates):
    return RULE.winner(race, incumbent, candidates)


def test_shorter_at_equal_accuracy_wins():
    assert winner(rows(30, 80), it=rows(30, 40)) == "it"
    assert winner(rows(30, 80), it=rows(30, 40), less=rows(30, 20)) == "less"


def test_accuracy_comes_first():
    assert winner(rows(30, 80), short=rows(30, 20), right=rows(34, 79)) == "right"


def test_what_is_surely_longer_needs_the_higher_bar():
    gains = rows(32, 80)  # two pairs won, none lost: sure by 7/8
    assert winner(rows(30, 80), it=gains) == "it"
    assert winner(rows(30, 40), it=gains) is None
    assert winner(rows(30, 40), it=rows(35, 80)) == "it"  # five to nothing: sure by 63/64


def test_what_is_shorter_and_worse_does_not_win():
    assert winner(rows(30, 80), it=rows(28, 20)) is None
    assert winner(rows(50, 80), it=rows(0, 1)) is None


def test_a_few_rows_show_nothing():
    """Though every row is shorter, five points of accuracy cannot be told from none on ten rows."""
    assert winner(rows(5, 80, 10), Race(most=10), it=rows(5, 20, 10)) is None
    assert winner(rows(10, 80, 20), Race(most=20), it=rows(10, 20, 20)) == "it"


def test_what_failed_is_not_short():
    failed = [Outcome(False, 0, failed=True)] * 25
    assert means([*rows(25, 40, 25), *failed], [*failed, *rows(25, 40, 25)]) == (0.0, 0.0)
    assert lengths(rows(30, 40), [*rows(25, 40, 25), *failed]) == Lengths(0.0, 0.0, 40.0, 40.0)
    assert winner(rows(0, 40), it=[Outcome(False, 0, failed=True)] * 50) is None


@given(pair)
def test_probabilities_are_of_one_thing(both):
    incumbent, candidate = both
    there, back = lengths(incumbent, candidate), lengths(candidate, incumbent)
    assert (there.shorter, there.longer) == (back.longer, back.shorter)
    assert 0 <= there.shorter + there.longer <= 1
    assert (there.tokens, there.against) == (back.against, back.tokens) == means(incumbent, candidate)
    assert lengths(incumbent, incumbent).shorter == 0


@given(pair)
def test_a_winner_is_better_or_shorter_and_never_lost_too_much(both):
    incumbent, candidate = both
    if RULE.winner(RACE, incumbent, {"it": candidate}) != "it":
        return
    told, size = standing(rights(incumbent), rights(candidate)), lengths(incumbent, candidate)
    assert told.gain > 0 or size.tokens < size.against
    assert told.gain > -RULE.give
    assert told.sure >= RACE.accept or size.shorter >= RULE.sure


@given(pair, st.data())
def test_one_row_more_that_is_right_never_hurts(both, data):
    incumbent, candidate = both
    wrong = [place for place, row in enumerate(candidate) if not row.right]
    if not wrong or RULE.winner(RACE, incumbent, {"it": candidate}) is None:
        return
    place = data.draw(st.sampled_from(wrong))
    better = [Outcome(row.right or place == number, row.tokens) for number, row in enumerate(candidate)]
    assert RULE.winner(RACE, incumbent, {"it": better}) == "it"


@given(pair)
def test_nothing_wins_against_itself(both):
    assert RULE.winner(RACE, both[0], {"it": both[0]}) is None


def test_a_race_goes_on_while_there_is_hope_and_is_not_ended_by_a_winner():
    incumbent = rows(5, 80, 10)
    told = {"right": rows(10, 80, 10), "short": rows(5, 20, 10), "same": rows(5, 80, 10), "wrong": rows(0, 20, 10)}
    assert RULE.running(RACE, incumbent, told | {"left": rows(0, 1, 5)}) == ["right", "short"]
    assert RULE.running(Race(most=10), incumbent, told) == []
    assert RULE.running(RACE, [], {"a": [], "b": []}) == ["a", "b"]


def raced(dice, worse, shrink, n=50):
    """Whether a candidate wins that is worse by a share of the rows, and whose answers are a share as long."""
    level = dice.uniform(0.3, 0.9, n)
    before, after = dice.random(n) < level, dice.random(n) < level - worse
    sizes = dice.gamma(4, 15, (2, n)) * np.array([[1.0], [shrink]])
    incumbent, candidate = (
        [Outcome(bool(right), int(size) + 1) for right, size in zip(*one, strict=True)]
        for one in ((before, sizes[0]), (after, sizes[1]))
    )
    told, size = standing(rights(incumbent), rights(candidate)), lengths(incumbent, candidate)
    return RULE.shorter(RACE, told, size)


@pytest.mark.parametrize(
    ("worse", "shrink", "low", "high"),
    [(0.0, 1.0, 0.0, 0.05), (0.05, 0.5, 0.1, 0.25), (0.3, 0.3, 0.0, 0.01), (0.0, 0.5, 0.3, 1.0)],
)
def test_how_often_what_is_no_better_passes_as_shorter(worse, shrink, low, high):
    """Equal lengths in one race of twenty at most, a loss of `give` in about one of five; half the tokens often."""
    dice = np.random.default_rng(7)
    share = np.mean([raced(dice, worse, shrink) for _ in range(600)])
    assert low <= share <= high


@pytest.mark.parametrize("knobs", [{"sure": 0.4}, {"sure": 1.1}, {"give": 0.0}, {"give": 1.0}])
def test_knobs_that_cannot_work_are_refused(knobs):
    with pytest.raises(ConfigError):
        Shorter(**knobs)


def test_no_row_at_all_decides_nothing():
    assert not RULE.shorter(RACE, Standing(0, 0, 0), Lengths(1.0, 0.0, 1.0, 2.0))
    assert winner([], it=[]) is None
