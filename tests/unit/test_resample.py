"""Particles, weighed and resampled."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.search import resample

weights = st.lists(st.floats(0.001, 1), min_size=1, max_size=30)


def test_odds_are_the_softmax_of_logits():
    scores = [0.2, 0.5, 0.9]
    logits = [math.log(score / (1 - score)) for score in scores]
    whole = sum(math.exp(logit) for logit in logits)
    assert list(resample.odds(scores)) == pytest.approx([math.exp(logit) / whole for logit in logits])
    assert sum(resample.odds([0.0, 1.0])) == pytest.approx(1)


@given(weights, st.integers(1, 200), st.floats(0, 0.999999))
def test_copies_are_within_one_of_what_is_due(weights, particles, offset):
    copies = resample.systematic(weights, particles, offset)
    assert sum(copies) == particles
    for copy, weight in zip(copies, weights, strict=True):
        assert abs(copy - particles * weight / sum(weights)) <= 1 + 1e-6


def test_systematic_resampling_is_unbiased():
    weights, offsets = [0.1, 0.2, 0.7], [(k + 0.5) / 1000 for k in range(1000)]
    totals = [sum(copies) for copies in zip(*(resample.systematic(weights, 4, u) for u in offsets), strict=True)]
    assert [total / 4000 for total in totals] == pytest.approx(weights, abs=0.002)
