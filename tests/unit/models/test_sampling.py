import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poise.core import Sampling
from poise.models.sampling import Dice, choose, seed_of


def row(*shares: float) -> torch.Tensor:
    return torch.tensor([[math.log(share) for share in shares]])


def test_greedy_takes_the_likeliest_and_tells_its_logprob():
    choice = choose(row(0.2, 0.5, 0.3), [Sampling(temperature=0, top_logprobs=2)], [0.99])
    assert choice.tokens.tolist() == [1]
    assert choice.logprobs.tolist() == pytest.approx([math.log(0.5)], abs=1e-6)
    assert choice.alternatives is not None
    assert choice.alternatives[0].tolist() == pytest.approx([math.log(0.5), math.log(0.3)], abs=1e-6)


@pytest.mark.parametrize(("number", "token"), [(0.0, 0), (0.19, 0), (0.21, 1), (0.69, 1), (0.71, 2), (0.999999, 2)])
def test_the_number_decides_by_the_summed_shares(number, token):
    assert choose(row(0.2, 0.5, 0.3), [Sampling(temperature=1)], [number]).tokens.tolist() == [token]


def test_logprobs_are_found_only_where_asked_for():
    assert choose(row(0.2, 0.5, 0.3), [Sampling(temperature=1)], [0.5]).logprobs.tolist() == [0.0]


def test_top_p_keeps_the_likeliest_only():
    tokens = {
        int(choose(row(0.2, 0.5, 0.3), [Sampling(temperature=1, top_p=0.6)], [place / 50]).tokens)
        for place in range(50)
    }
    assert tokens == {1, 2}


def test_shares_of_many_draws_are_the_softmax_at_the_temperature():
    logits = torch.randn(700, generator=torch.Generator().manual_seed(1)).expand(20_000, -1)
    dice = Dice(4)
    numbers = [dice.number(place) for place in range(20_000)]
    tokens = choose(logits, [Sampling(temperature=0.5)] * 20_000, numbers).tokens
    found = torch.bincount(tokens, minlength=700) / 20_000
    wanted = torch.softmax(logits[0] / 0.5, -1)
    assert float((found - wanted).abs().sum()) < 0.15  # about sqrt(2 * 700 / (pi * 20000)) from noise alone
    assert float((found - wanted).abs().max()) < 0.01


@given(st.integers(0, 2**63 - 1), st.integers(0, 300))
def test_a_number_depends_on_the_seed_and_its_place_alone(seed, place):
    ahead = Dice(seed)
    ahead.number(299)
    assert Dice(seed).number(place) == ahead.number(place)
    assert 0 <= ahead.number(place) < 1


def test_samples_of_one_call_have_seeds_of_their_own():
    assert len({seed_of(7, index) for index in range(100)}) == 100
    assert seed_of(7, 0) == 7
    assert seed_of(None, 3) is None
