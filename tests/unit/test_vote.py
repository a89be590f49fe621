"""Vote arithmetic: winners, ties, weights, and the running tally against the plain count."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.search import vote


def first_seen(labels):
    """Renumber arbitrary labels in first-seen order, as classes are."""
    order = {}
    return [-1 if label < 0 else order.setdefault(label, len(order)) for label in labels]


CLASSES = st.lists(st.integers(-1, 5), max_size=30).map(first_seen)


def test_majority_of_all_that_was_drawn():
    assert vote.leader([0, 1, 1, -1]) == vote.Winner(1, 2, 0.5)
    assert vote.leader([0]) == vote.Winner(0, 1, 1.0)


def test_the_first_seen_wins_ties():
    assert vote.leader([0, 1, 1, 0]).label == 0
    assert vote.leader([0, 1, 2]).label == 0


def test_nobody_voted():
    assert vote.leader([]) is None
    assert vote.leader([-1, -1]) is None


def test_weights_add_up():
    assert vote.counts([0, 1, 0, -1], [0.25, 0.75, 0.25, 9.0]) == [0.5, 0.75]
    assert vote.leader([0, 1, 0, -1], [0.25, 0.75, 0.25, 0.25]) == vote.Winner(1, 0.75, 0.5)
    assert vote.leader([0, 1], [0.0, 0.0]) == vote.Winner(0, 0.0, 0.0)
    with pytest.raises(ValueError, match="zip"):
        vote.counts([0, 1], [1.0])


@given(CLASSES)
def test_counts_are_counts(classes):
    assert vote.counts(classes) == [n for _, n in sorted(Counter(c for c in classes if c >= 0).items())]


@given(CLASSES)
def test_the_winner_has_the_most_votes_and_came_first(classes):
    winner = vote.leader(classes)
    totals = vote.counts(classes)
    if winner is None:
        assert totals == []
        return
    assert all(winner.votes >= total for total in totals)
    assert all(winner.votes > total for total in totals[: winner.label])
    assert winner.share == winner.votes / len(classes)


@given(CLASSES, st.data())
def test_unit_weights_change_nothing_and_shares_stay_shares(classes, data):
    assert vote.leader(classes, [1.0] * len(classes)) == vote.leader(classes)
    weights = data.draw(st.lists(st.floats(0, 1e6), min_size=len(classes), max_size=len(classes)))
    winner = vote.leader(classes, weights)
    assert winner is None or 0 <= winner.share <= 1


@given(CLASSES, st.booleans())
def test_the_running_tally_equals_the_plain_count_after_every_vote(classes, weighted):
    tally = vote.Tally()
    weights = [float(i % 4) if weighted else 1.0 for i in range(len(classes))]
    for n, (label, weight) in enumerate(zip(classes, weights, strict=True), 1):
        tally.add(label, weight)
        totals = vote.counts(classes[:n], weights[:n])
        winner = vote.leader(classes[:n], weights[:n])
        assert tally.counts == totals
        assert tally.drawn == n
        assert tally.leader == (winner.label if winner else -1)
        assert [tally.first, tally.second] == sorted([0.0, 0.0, *totals])[:-3:-1]


@given(CLASSES)
def test_a_tally_at_once_and_its_ties(classes):
    tally = vote.Tally.of(classes)
    totals = vote.counts(classes)
    first, second = tally.top_two()
    assert isinstance(first, int)
    assert first + second == sum(sorted(totals)[-2:])
    rivals = [label for label, total in enumerate(totals) if total == second and label != tally.leader]
    assert tally.wins_ties == all(tally.leader < rival for rival in rivals)
