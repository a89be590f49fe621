"""Gates: a share of places, and nothing of chance."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poise.errors import ConfigError
from poise.models.quiet_star.gates import RATE, Gate, Unsure, corrected, gate_of, unsure


def test_doubts_are_entropy_and_margin():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [50.0, 0.0, 0.0, 0.0]])
    assert unsure(Unsure.ENTROPY, logits).tolist() == pytest.approx([math.log(4), 0.0], abs=1e-6)
    assert unsure(Unsure.MARGIN, logits).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("kind", [Unsure.ENTROPY, Unsure.MARGIN])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.15, 0.5, 1.0])
def test_the_share_of_places_that_pass_is_the_one_asked_for(kind, share):
    logits = torch.randn(4000, 30, generator=torch.Generator().manual_seed(1)) * 3
    gate = gate_of(kind, unsure(kind, logits[:2000]))
    opened = gate.opens(logits[2000:], logits[2000:], [share] * 2000)
    assert np.mean(opened) == pytest.approx(share, abs=0.03)
    if share in (0.0, 1.0):
        assert np.mean(opened) == share


def test_each_row_has_its_own_share():
    gate = Gate(Unsure.ENTROPY, (0.0, 1.0, 2.0))
    doubtful = torch.zeros(3, 4)  # entropy 1.39
    assert gate.opens(doubtful, doubtful, [0.0, 0.2, 0.5]) == [False, False, True]


@given(st.floats(0, 1), st.lists(st.floats(0, 2), min_size=1, max_size=300))
def test_no_text_thinks_more_than_its_share(wanted, doubts):
    """Whatever the doubts, and not much less where they are high."""
    gate, share, opened = Gate(Unsure.GAIN, (0.0, 0.5, 1.0), (1.0, 0.0)), wanted, 0
    for doubt in doubts:
        [passed] = gate.opens(torch.zeros(1, 2), torch.tensor([[doubt]]), [share])
        share, opened = corrected(share, wanted, passed), opened + passed
    assert opened <= wanted * (len(doubts) + 1 / RATE) + 1 + 1e-6
    assert opened >= wanted * len(doubts) - (1 + RATE) / RATE
    if wanted in (0, 1):
        assert opened == wanted * len(doubts)


def test_a_text_less_sure_than_any_before_thinks_at_its_share():
    gate, share, opened = Gate(Unsure.GAIN, (0.0, 0.5, 1.0), (1.0, 0.0)), 0.15, 0
    for _ in range(100):
        [passed] = gate.opens(torch.zeros(1, 2), torch.tensor([[9.0]]), [share])
        share, opened = corrected(share, 0.15, passed), opened + passed
    assert 15 <= opened <= 17


@pytest.mark.parametrize("quantiles", [(), (1.0,), (0.0, 2.0, 1.0)])
def test_no_gate_of_falling_quantiles(quantiles):
    with pytest.raises(ConfigError, match="quantiles"):
        Gate(Unsure.ENTROPY, quantiles)


def test_a_probe_tells_where_a_thought_saves_most():
    states = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    gate = Gate(Unsure.GAIN, (-1.0, 0.0, 1.0), (0.0, 2.0, 0.0, -0.5))
    assert gate.opens(torch.zeros(50, 4), states, [0.5] * 50) == (2 * states[:, 1] > 0.5).tolist()


@pytest.mark.parametrize(("kind", "probe"), [(Unsure.GAIN, ()), (Unsure.ENTROPY, (1.0, 2.0))])
def test_only_the_gain_has_a_probe(kind, probe):
    with pytest.raises(ConfigError, match="probe"):
        Gate(kind, (0.0, 1.0), probe)
