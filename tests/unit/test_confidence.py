"""Confidence arithmetic: windows against brute force, thresholds, and the two ways to read a token."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poise.search import confidence
from poise.search.confidence import Sliding, Span

slowly = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
VALUES = st.lists(st.floats(-100, 0), min_size=1, max_size=30)
WINDOWS = st.integers(1, 12)


def windows(values, window):
    """The means of all full windows."""
    return [sum(values[at : at + window]) / window for at in range(len(values) - window + 1)]


@slowly
@given(VALUES, WINDOWS)
def test_spans_are_what_they_say(values, window):
    every = windows(values, window) or [sum(values) / len(values)]
    assert confidence.windowed(values, Span.LOWEST, window) == pytest.approx(min(every), abs=1e-9)
    assert confidence.windowed(values, Span.TAIL, window) == pytest.approx(every[-1], abs=1e-9)
    assert confidence.windowed(values, Span.MEAN, window) == pytest.approx(sum(values) / len(values), abs=1e-9)


@slowly
@given(VALUES, WINDOWS)
def test_sliding_is_the_window_at_every_token(values, window):
    sliding = Sliding(window)
    means = [sliding.add(value) for value in values]
    assert means[: window - 1] == [None] * min(window - 1, len(values))
    assert means[window - 1 :] == pytest.approx(windows(values, window), abs=1e-9)


@slowly
@given(VALUES, WINDOWS, st.floats(-100, 0))
def test_watching_and_measuring_agree(values, window, bar):
    """Whoever survives the watch has no lowest window below the bar, whatever was rounded on the way."""
    sliding = Sliding(window)
    fell = any(mean is not None and confidence.below(mean, bar) for mean in map(sliding.add, values))
    lowest = confidence.windowed(values, Span.LOWEST, window)
    if len(values) >= window and abs(lowest - bar) > 1e-6:
        assert fell == confidence.below(lowest, bar)
    assert not confidence.below(lowest, lowest)


def test_a_long_draft_does_not_drift():
    sliding = Sliding(64)
    means = [sliding.add(-100.0 if at % 97 else -1e-7) for at in range(50_000)]
    exact = windows([-100.0 if at % 97 else -1e-7 for at in range(49_900, 50_000)], 64)[-1]
    assert means[-1] == pytest.approx(exact, abs=1e-9)


@slowly
@given(st.lists(st.floats(-10, 10), max_size=25), st.floats(0.01, 1))
def test_the_threshold_keeps_its_share_and_not_more_than_it_must(values, keep):
    bar = confidence.threshold(values, keep)
    kept = sum(value >= bar for value in values)
    assert kept >= keep * len(values) - 1e-6
    assert sum(value > bar for value in values) < max(keep * len(values), 1)
    assert values == [] or bar in values


def test_thresholds_of_round_shares():
    assert confidence.threshold([4.0, 1.0, 3.0, 2.0], 0.5) == 3.0
    assert confidence.threshold([4.0, 1.0, 3.0, 2.0], 1.0) == 1.0
    assert confidence.threshold([float(k) for k in range(10)], 0.7) == 3.0  # .7 * 10 is more than 7 in floats
    assert confidence.threshold([4.0, 1.0], 0.01) == 4.0
    assert confidence.threshold([], 0.5) == -math.inf


def test_a_token_by_itself_and_among_its_candidates():
    assert confidence.per_token((-0.5, -math.inf)) == [-0.5, -100.0]
    sure, doubtful = (-0.01, -6.0, -7.0, -9.0), (-1.0, -1.1, -1.2, -9.0)
    assert confidence.per_token((), (sure, doubtful, ()), 3) == pytest.approx([13.01 / 3, 1.1])
    assert confidence.per_token((-0.5,), (), 3) == []
    assert confidence.per_token((), (), 0) == []


@slowly
@given(st.floats(-200, 1e-9))
def test_probabilities_stay_in_their_range(mean):
    assert 0 <= confidence.probability(mean) <= 1
