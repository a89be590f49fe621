"""Racing: paired outcomes, and a bar on how sure they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.errors import ConfigError
from poise.tune.race import Race, standing

rows = st.lists(st.booleans(), min_size=0, max_size=60)


@given(rows, rows)
def test_a_standing_is_symmetric(one, other):
    there, back = standing(one, other), standing(other, one)
    assert (there.wins, there.losses, there.rows) == (back.losses, back.wins, back.rows)
    assert there.gain == pytest.approx(-back.gain)
    assert there.sure == pytest.approx(1 - back.sure)
    assert there.rows == min(len(one), len(other))


def test_a_candidate_that_wins_enough_pairs_is_the_winner_in_the_end():
    race, incumbent = Race(block=10, most=50), [False] * 10
    better = {"a": [True] * 3 + [False] * 7, "b": [True] * 2 + [False] * 8}
    assert race.winner(incumbent, better) == "a"  # 3 wins to 0: sure by 15/16
    assert race.running(incumbent, better) == ["a"]  # and not yet the winner: the race goes on to its end


def test_who_is_behind_or_late_runs_no_more():
    race, incumbent = Race(), [True, False] * 5
    told = {"even": [True, False] * 5, "behind": [False] * 10, "late": [True] * 4}
    assert race.winner(incumbent, told) is None
    assert race.running(incumbent, told) == ["even"]


def test_it_ends_with_its_rows_and_the_incumbent_stays():
    race, incumbent = Race(most=20), [True, False] * 10
    assert race.running(incumbent, {"even": list(incumbent)}) == []
    assert race.winner(incumbent, {"even": list(incumbent)}) is None
    assert race.winner([], {"a": []}) is None


@given(st.integers(0, 2**20 - 1), st.integers(0, 2**20 - 1))
def test_no_winner_gains_nothing(a, b):
    incumbent = [bool(a >> bit & 1) for bit in range(20)]
    candidate = [bool(b >> bit & 1) for bit in range(20)]
    if Race(most=20).winner(incumbent, {"it": candidate}):
        assert sum(candidate) > sum(incumbent)


def test_a_look_leaves_the_best_in_the_order_given():
    incumbent = [True, True] + [False] * 8
    told = {name: [True] * right + [False] * (10 - right) for name, right in (("a", 2), ("b", 3), ("c", 1), ("d", 2))}
    assert Race().running(incumbent, told) == Race(keep=0.5).running(incumbent, told) == ["a", "b"]
    assert Race(keep=0.25).running(incumbent, told) == ["b"]
    assert Race(keep=1.0).running(incumbent, told) == ["a", "b", "c", "d"]
    assert Race(keep=0.01).running(incumbent, {"a": told["a"]}) == ["a"]  # the last one is never left out


def test_looks_are_at_rows_that_grow_as_rivals_shrink():
    def looks(race, rows):
        return [places.stop for places in race.blocks(rows)]

    assert looks(Race(), 60) == [10, 30, 50]
    assert looks(Race(), 32) == [10, 32]  # two rows more are no block
    assert looks(Race(keep=0.5), 60) == [10, 20, 40, 50]
    assert looks(Race(keep=1.0), 60) == [10, 20, 30, 40, 50]
    assert looks(Race(), 0) == []
    assert Race().answers(6, 60) == 10 * 7 + 20 * 3 + 20 * 2


@given(st.integers(0, 90), st.integers(1, 12), st.floats(0.05, 1.0))
def test_every_row_is_in_one_block(rows, block, keep):
    race = Race(block=block, most=50, keep=keep)
    found = race.blocks(rows)
    assert [place for places in found for place in places] == list(range(min(rows, 50)))
    assert all(len(places) >= min(block, rows, 50) for places in found)


@given(st.integers(0, 9), st.integers(0, 60), st.integers(1, 12), st.floats(0.1, 1.0), st.randoms())
def test_no_race_takes_more_answers_than_its_bound(rivals, questions, block, keep, dice):
    race = Race(block=block, most=50, keep=keep)
    told, order, taken = {name: [] for name in range(rivals)}, min(questions, race.most), 0
    incumbent = []
    for places in race.blocks(order):
        running = race.running(incumbent, told)
        if not running:
            break
        rows = len(places)
        for answers in (incumbent, *(told[name] for name in running)):
            answers += [dice.random() < 0.5 for _ in range(rows)]
            taken += rows
    assert taken <= race.answers(rivals, questions)


@pytest.mark.parametrize(
    "knobs",
    [{"block": 0}, {"most": 0}, {"accept": 0.1}, {"drop": -0.1}, {"accept": 1.1}, {"keep": 0.0}, {"keep": 1.1}],
)
def test_knobs_that_cannot_work_are_refused(knobs):
    with pytest.raises(ConfigError):
        Race(**knobs)
