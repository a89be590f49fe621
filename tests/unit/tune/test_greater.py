"""Steps as published: greedy, over all questions, the best of three whatever it is; and where the next one goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.errors import ConfigError
from poise.tune.greater import FLUENCY, GreaterStepper, next_place
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By, Kind, Source
from poise.tune.step import Stepper, StepSettings
from poise.tune.steppers import steps_of

SETTINGS = StepSettings(By.GREATER, rows=3, reasoning_tokens=5)
PROMPT = "Think it over"


def stepper(engine, task, settings=SETTINGS, seed=0, items=6):
    made = steps_of(engine, task, task.items(items, 0), settings, LossTerms(), seed)
    assert isinstance(made, GreaterStepper)
    return made


async def test_three_are_asked_again_and_the_lowest_score_wins(engine, task):
    found = await stepper(engine, task).step(0, PROMPT, 4)
    assert len(found.tried) == 3
    assert {tried.edit.source for tried in found.tried} == {Source.GRADIENT}
    assert {tried.edit.kind for tried in found.tried} == {Kind.SWAP}
    slopes = [tried.edit.slope for tried in found.tried]
    assert slopes == sorted(slopes)
    best = min(found.tried, key=lambda tried: tried.score)
    assert found.prompt == best.prompt
    assert found.accepted == (best.edit if best.prompt != PROMPT else None)
    assert all(tried.standing.rows == 6 for tried in found.tried)


async def test_it_costs_four_answers_to_every_question_at_most(engine, task):
    found = await stepper(engine, task).step(0, PROMPT, 4)
    asked = 6 * (1 + sum(tried.prompt != PROMPT for tried in found.tried))
    assert found.spent.calls == asked
    assert found.spent.calls <= 4 * 6
    assert found.spent.tokens > found.spent.calls


async def test_the_score_is_the_error_rate_and_how_unlikely_the_prompt_is(engine, task):
    """A random model is right nowhere, so the likeliest of the three wins, though nothing was gained by it."""
    made = stepper(engine, task)
    found = await made.step(0, PROMPT, 4)
    befores = [part.before for _, part in made._asking.parts(made._asking.items, PROMPT)]
    texts = [tried.prompt for tried in found.tried]
    told, _ = made._asking.proposer.fluency(befores, [made._asking.ids(text) for text in texts])
    assert [tried.score for tried in found.tried] == pytest.approx([1 + FLUENCY * nll for nll in told])
    assert found.prompt == texts[told.index(min(told))]


async def test_it_is_greedy_so_the_same_step_is_the_same(engine, task):
    assert SETTINGS.sampling.temperature == 0
    one, again = [await stepper(engine, task).step(2, PROMPT, 1) for _ in range(2)]
    assert one == again


async def test_behind_the_end_a_token_may_be_put(engine, task):
    made = stepper(engine, task)
    ids = made._asking.ids(PROMPT)
    found = await made.step(0, PROMPT, len(ids))
    assert {tried.edit.kind for tried in found.tried} == {Kind.GROW}
    assert all(len(made._asking.ids(tried.prompt)) == len(ids) + 1 for tried in found.tried)
    assert found.accepted is None or len(made._asking.ids(found.prompt)) == len(ids) + 1
    with pytest.raises(ConfigError, match="place"):
        await made.step(0, PROMPT, len(ids) + 1)


def test_the_next_place_is_the_next_then_the_end_or_the_beginning():
    walk = [(None, 4, False), (0, 4, False), (2, 4, False), (3, 4, False), (4, 5, False), (5, 5, False), (3, 4, True)]
    assert [next_place(*one) for one in walk] == [0, 1, 3, 4, 5, 0, 0]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.integers(1, 6))
def test_every_place_is_one_that_the_prompt_has(moves, tokens):
    """Whatever grows and whatever stops: a place of the prompt, or the one behind it where nothing stopped; and no walk
    goes on for longer than the prompt without beginning again or growing."""
    last, since = None, 0
    for grows, stops in moves:
        place = next_place(last, tokens, stops)
        assert 0 <= place <= tokens - stops
        grown = grows and place == tokens
        since = 0 if place == 0 or grown else since + 1
        assert since <= tokens
        tokens, last = tokens + grown, place


def test_the_way_is_chosen_by_name(engine, task):
    def made(by):
        return steps_of(engine, task, task.items(4, 0), StepSettings(by), LossTerms(), 0)

    assert isinstance(made(By.GREATER), GreaterStepper)
    assert isinstance(made(By.MIXED), Stepper)
