"""Stop rules: laws, published figures, and brute force over every way the votes can go."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from poise.search import stop, vote

VOTES = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (max(pair), min(pair)))


def test_margin():
    assert stop.margin(2, 0, 2)
    assert stop.margin(5, 3, 2)
    assert not stop.margin(3, 2, 2)


@given(VOTES)
def test_majority_probability_is_the_beta_tail(votes):
    v1, v2 = votes
    assert stop.majority_probability(v1, v2) == pytest.approx(stats.beta.sf(0.5, v1 + 1, v2 + 1), abs=1e-9)


@given(VOTES)
def test_majority_probability_grows_with_the_lead(votes):
    v1, v2 = votes
    here = stop.majority_probability(v1, v2)
    assert 0.5 <= here <= 1
    assert (
        stop.majority_probability(v1 + 1, v2) >= here >= stop.majority_probability(v1 + 1, v2 + 1) - 1e-12 >= 0.5 - 1e-9
    )


def test_beta_needs_four_votes_in_a_row():
    assert [stop.beta(v1, 0) for v1 in range(6)] == [False, False, False, False, True, True]
    assert stop.beta(40, 0, 0.999999)
    assert stop.majority_probability(20_000, 10) == 1.0


@given(VOTES, st.integers(0, 10), st.integers(1, 5))
def test_rules_are_monotone_in_the_leaders_votes(votes, left, k):
    v1, v2 = votes
    assert stop.margin(v1, v2, k) <= stop.margin(v1 + 1, v2, k)
    assert stop.beta(v1, v2) <= stop.beta(v1 + 1, v2)
    for wins_ties in (False, True):
        assert stop.decided(v1, v2, left, wins_ties=wins_ties) <= stop.decided(v1 + 1, v2, left, wins_ties=wins_ties)
        assert stop.decided(v1, v2, left + 1, wins_ties=wins_ties) <= stop.decided(v1, v2, left, wins_ties=wins_ties)
    assert stop.decided(v1, v2, left) <= stop.decided(v1, v2, left, wins_ties=True)


def histories(length):
    """Every sequence of votes, numbered as first seen, with drafts that have no value."""
    for labels in itertools.product(range(-1, 4), repeat=length):
        seen = [label for label in dict.fromkeys(labels) if label >= 0]
        if seen == sorted(seen) == list(range(len(seen))):
            yield list(labels)


def can_change(classes, left):
    """Whether some way the votes can still go changes the leader."""
    now = vote.leader(classes)
    new = max(classes, default=-1) + 1
    ends = (vote.leader([*classes, *more]) for more in itertools.product(range(-1, new + 1), repeat=left))
    return any((end and end.label) != (now and now.label) for end in ends)


@pytest.mark.parametrize(("length", "left"), [(1, 1), (2, 2), (3, 1), (3, 2), (4, 2), (5, 1), (5, 2), (4, 3)])
def test_decided_is_exact(length, left):
    for classes in histories(length):
        tally = vote.Tally.of(classes)
        v1, v2 = tally.top_two()
        open_still = can_change(classes, left)
        assert stop.decided(v1, v2, left, wins_ties=tally.wins_ties) == (not open_still)
        assert not (stop.decided(v1, v2, left) and open_still)


def test_with_nothing_left_everything_is_decided():
    assert stop.decided(0, 0, 0)
    assert stop.decided(1, 1, 0)


@given(VOTES, st.integers(0, 30), st.integers(1, 5), st.sampled_from(["margin", "beta", "decided"]))
def test_wanted_is_the_shortest_way_to_the_stop(votes, left, k, name):
    rules = {
        "margin": lambda v1, v2, left: stop.margin(v1, v2, k),
        "beta": lambda v1, v2, left: stop.beta(v1, v2),
        "decided": stop.decided,
    }
    (v1, v2), settled = votes, rules[name]
    more = stop.wanted(settled, v1, v2, left)
    assert 0 <= more <= left
    assert more == left or settled(v1 + more, v2, left - more)
    assert not any(settled(v1 + fewer, v2, left - fewer) for fewer in range(more))
    if name == "margin":
        assert more == min(max(k - (v1 - v2), 0), left)


def test_a_streak_is_the_last_k_alike():
    assert stop.streak([0, 0, 0], 3)
    assert stop.streak([1, 0, 0], 2)
    assert stop.streak([4], 1)
    for classes, k in (([1, 0, 0], 3), ([0, 0, 1], 2), ([0], 2), ([-1, -1], 2), ([0, -1, 0], 2), ([-1], 1), ([], 1)):
        assert not stop.streak(classes, k)


# The mix of questions of the published simulation: share of questions, and P(each answer), the right one first.
MIX = (
    (0.30, [0.9] + [0.02] * 5),
    (0.25, [0.6] + [0.05] * 8),
    (0.25, [0.4, 0.3] + [0.03] * 10),
    (0.20, [0.15, 0.3] + [0.055] * 10),
)


def voted(dice, chances, settled):
    """(right?, draws) of one question under a stop rule, at most ten draws."""
    order, classes = {}, []
    for draw in dice.choices(range(len(chances)), chances, k=10):
        classes.append(order.setdefault(draw, len(order)))
        if settled(*vote.Tally.of(classes).top_two()):
            break
    return vote.leader(classes).label == order.get(0), len(classes)


def test_a_margin_of_two_reaches_the_published_accuracy_at_the_published_cost():
    dice = random.Random(7)
    questions = dice.choices([chances for _, chances in MIX], [share for share, _ in MIX], k=4000)
    played = [voted(dice, chances, lambda v1, v2: stop.margin(v1, v2, 2)) for chances in questions]
    assert sum(right for right, _ in played) / 4000 == pytest.approx(0.732, abs=0.02)
    assert sum(draws for _, draws in played) / 4000 == pytest.approx(4.8, abs=0.15)
