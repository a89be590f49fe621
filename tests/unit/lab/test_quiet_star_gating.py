"""Which gate is chosen, and what a probe finds."""

import pytest
import tiny
import torch

from poise.lab.quiet_star.gating import Places, captured_by, measured_gate, places_of, probe_of
from poise.models.quiet_star.config import QuietStarConfig
from poise.models.quiet_star.gates import Unsure
from poise.models.quiet_star.model import QuietStar


@pytest.fixture
def model():
    torch.manual_seed(3)
    made = QuietStar(tiny.model(), tiny.tokenizer(), QuietStarConfig(n_ahead=4, n_ahead_talk=2))
    torch.nn.init.normal_(made.mixer.last.weight, std=0.5)
    return made.eval().requires_grad_(False)


def test_a_probe_finds_what_a_gain_depends_on():
    states = torch.randn(600, 8, generator=torch.Generator().manual_seed(1)) * torch.arange(1, 9)
    gains = 0.3 * states[:, 2] - 0.1 * states[:, 5] + 0.2
    probe = probe_of(Places(states, {}, gains))
    torch.testing.assert_close(states @ probe[:-1] + probe[-1], gains, atol=0.15, rtol=0.1)


def test_what_a_gate_captures():
    gains = torch.tensor([1.0, 0.0, -1.0, 2.0])
    assert captured_by(torch.tensor([4.0, 1.0, 2.0, 3.0]), gains, 0.5) == pytest.approx(0.75)
    assert captured_by(torch.tensor([1.0, 2.0, 3.0, 0.0]), gains, 0.25) == pytest.approx(-0.25)


def test_the_gate_that_captures_most_is_taken(model):
    found = measured_gate(model, tiny.rows(24))
    assert set(found.captured) == set(Unsure)
    assert found.captured[found.gate.kind] == max(found.captured.values())
    places = places_of(model, tiny.rows(24)[1::2], torch.Generator().manual_seed(1))
    assert len(places.gains) == len(places.states) == sum(len(row.tokens) - row.start for row in tiny.rows(24)[1::2])
    assert found.everywhere == pytest.approx(float(places.gains.mean()), abs=0.5)


def test_no_gate_without_text(model):
    assert measured_gate(model, tiny.rows(1)) is None


def test_a_model_that_never_thought_gains_nothing(model):
    torch.nn.init.zeros_(model.mixer.last.weight)
    found = measured_gate(model, tiny.rows(8))
    assert found.everywhere == pytest.approx(0.0, abs=1e-6)
