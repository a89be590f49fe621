"""The archive: what noise cannot tell apart does not fill it, and what it picks is shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.errors import ConfigError
from poise.tune.archive import Archive, Measured, Objective

N = 200


def measured(name, right, tokens, seconds=1.0, rows=N):
    """`right` of the first rows; `tokens` each."""
    return Measured(name, tuple(row < right for row in range(rows)), (tokens,) * rows, (seconds,) * rows)


def names(archive):
    return [placed.measured.name for placed in archive.front()]


def test_what_is_beaten_in_both_leaves_and_does_not_come_in():
    archive = Archive()
    assert archive.add(measured("plain", 100, 100))
    assert archive.add(measured("better", 140, 80))
    assert names(archive) == ["better"]
    assert not archive.add(measured("worse", 120, 90))


def test_what_is_shorter_or_more_accurate_stays():
    archive = Archive()
    for one in (measured("long", 160, 200), measured("short", 100, 40), measured("middle", 140, 90)):
        assert archive.add(one)
    assert names(archive) == ["short", "middle", "long"]
    front = archive.front()
    assert [placed.tokens.mean for placed in front] == [40, 90, 200]
    assert all(placed.accuracy.low < placed.accuracy.mean < placed.accuracy.high for placed in front)


def test_what_a_box_cannot_tell_apart_does_not_fill_it():
    archive = Archive(accuracy_box=0.02)
    archive.add(measured("first", 120, 100))
    assert not archive.add(measured("same", 120, 101))
    assert not archive.add(measured("a row better", 121, 100))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(10, 60)), min_size=1, max_size=8))
def test_no_member_beats_another(points):
    archive = Archive(times=100)
    for number, (right, tokens) in enumerate(points):
        archive.add(measured(str(number), right, tokens, rows=40))
    members = [placed.measured for placed in archive.front()]
    assert members
    assert not any(archive.beats(one, other) for one in members for other in members if one is not other)


def test_the_most_accurate_within_a_latency():
    archive = Archive()
    archive.add(measured("slow", 160, 200, 4.0))
    archive.add(measured("fast", 100, 40, 1.0))
    assert archive.fastest(2.0).name == "fast"
    assert archive.fastest(5.0).name == "slow"
    assert archive.fastest(0.5) is None


def test_the_shortest_that_is_shown_not_to_drop():
    archive = Archive(accuracy_box=0.0)
    archive.add(measured("long", 160, 200))
    archive.add(measured("short", 158, 40))
    archive.add(measured("tiny", 60, 10))
    assert archive.shortest(0.05).name == "short"
    assert Archive.shortest(only(measured("long", 160, 200)), 0.05).name == "long"


def only(one):
    archive = Archive()
    archive.add(one)
    return archive


def test_too_few_rows_for_a_small_drop_are_said():
    archive = Archive()
    archive.add(measured("long", 30, 200, rows=40))
    archive.add(measured("short", 24, 40, rows=40))
    with pytest.raises(ConfigError, match=r"max_drop.*40 rows can show; this one takes 9,270"):
        archive.shortest(0.01)
    assert archive.shortest(0.9).name == "short"


def test_the_knee_is_where_more_tokens_buy_little():
    archive = Archive()
    for one in (measured("short", 60, 20), measured("knee", 150, 60), measured("long", 160, 400)):
        archive.add(one)
    assert archive.knee().name == "knee"
    assert only(measured("alone", 10, 20)).knee().name == "alone"


def test_rows_must_be_shared():
    archive = only(measured("one", 5, 10, rows=40))
    with pytest.raises(ConfigError, match="rows"):
        archive.add(measured("other", 5, 10, rows=41))
    with pytest.raises(ConfigError, match="rows"):
        archive.add(Measured("bad", (True,), (1, 2), (1.0,)))
    with pytest.raises(ConfigError, match="at least one prompt"):
        Archive().knee()


def timed(name, right, tokens, seconds):
    return Measured(name, tuple(row < right for row in range(100)), (tokens,) * 100, (seconds,) * 100)


@pytest.mark.parametrize(
    ("objectives", "names"),
    [
        (("accuracy",), {"slow"}),
        (("accuracy", "tokens"), {"slow", "short"}),
        (("accuracy", "seconds"), {"slow", "fast"}),
        (("accuracy", "tokens", "seconds"), {"slow", "short", "fast"}),
    ],
)
def test_the_front_is_of_the_objectives(objectives, names):
    archive = Archive(objectives=Objective.named(objectives))
    for one in (timed("slow", 80, 100, 3.0), timed("short", 60, 20, 3.0), timed("fast", 60, 100, 1.0)):
        archive.add(one)
    assert {placed.measured.name for placed in archive.front()} == names


def test_seconds_are_compared_by_their_tail():
    even, spiked = (1.0,) * 100, (0.5,) * 90 + (9.0,) * 10
    right, tokens = (True,) * 100, (10,) * 100
    archive = Archive(objectives=(Objective.ACCURACY, Objective.SECONDS))
    one, other = Measured("even", right, tokens, even), Measured("spiked", right, tokens, spiked)
    assert archive.beats(one, other)
    assert not archive.beats(other, one)
