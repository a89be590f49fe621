"""Scorers: the laws, and their arithmetic on small numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise import answers, registry
from poise.core import Draft, Finish, Kind, Request, Step
from poise.errors import ConfigError
from poise.scorers import scorer_of
from poise.scoring.agreement import Agreement
from poise.scoring.density import Density
from poise.scoring.logprob import MeanLogprob, Span
from poise.scoring.self_certainty import SelfCertainty
from poise.testing import check_scorer

REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)


def path(logprobs=(), alternatives=(), value=None):
    found = answers.extract(f"The answer is {value}.", Kind.NUMBER) if value else None
    return (Step(1, 0, Draft("x", Finish.EOS, len(logprobs), logprobs, alternatives), found),)


async def value_of(scorer, *paths):
    return [score.value for score in await scorer.score(REQUEST, paths)]


READS_STATES = {"verifier", "probe"}  # a tiny head, and no model
OTHERS = {"prm", "quiet_star"}  # need weights that do not ship


@pytest.mark.parametrize("name", sorted({*registry.names("scorers")} - OTHERS))
async def test_the_laws(name, request):
    if name in READS_STATES:
        request.getfixturevalue("heads")
    await check_scorer(scorer_of(name))


async def test_mean_tail_and_lowest():
    logprobs = (-1.0, -3.0, -3.0, -0.5)
    means = [(await value_of(MeanLogprob(span, 2), path(logprobs)))[0] for span in Span]
    assert means == pytest.approx([math.exp(-1.875), math.exp(-1.75), math.exp(-3.0)])


async def test_a_certain_token_scores_above_a_doubtful_one():
    sure, doubtful = path((-0.1,), ((-0.01, -5.0),)), path((-0.1,), ((-1.0, -1.1),))
    high, low = await value_of(SelfCertainty(top=2), sure, doubtful)
    assert high > low


async def test_uniform_is_no_certainty():
    uniform = math.log(1 / 10)
    assert await value_of(SelfCertainty(top=5, vocabulary=10), path((uniform,), ((uniform,) * 5,))) == [
        pytest.approx(0.0)
    ]


async def test_agreement_is_the_share_of_the_class():
    shares = await value_of(Agreement(), path(value="0.5"), path(value="1/2"), path(value="3"), path())
    assert shares == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0.0])


@given(st.lists(st.floats(-200, 0), min_size=1, max_size=40), st.integers(1, 50))
async def test_always_between_zero_and_one(logprobs, window):
    for span in Span:
        assert 0 <= (await value_of(MeanLogprob(span, window), path(tuple(logprobs))))[0] <= 1


@pytest.mark.parametrize(
    "make", [lambda: MeanLogprob(window=0), lambda: SelfCertainty(top=0), lambda: SelfCertainty(20, 5)]
)
def test_absurd_knobs_are_refused(make):
    with pytest.raises(ConfigError):
        make()


async def test_density_is_that_of_the_whole_path():
    first = Step(1, 0, Draft("He likes Paris", Finish.DELIMITER, 3))
    assert await value_of(Density(), (first,)) == [1 / 3]
    assert await value_of(Density(), (first, Step(2, 1, Draft(" and Rome", Finish.EOS, 2)))) == [2 / 5]
