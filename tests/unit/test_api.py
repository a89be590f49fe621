"""The facade."""

import asyncio

import pytest

import poise
from poise import Budget, ConfigError, Goal, Kind, Request
from poise.engines.scripted import Scripted


def test_solve_answers():
    answer = poise.solve("What is 17 + 25?", strategy="self_consistency:n=9", engine="scripted", seed=1)
    assert answer.value.text == "42"
    assert answer.usage.calls == 9


def test_solve_decides_when_nothing_is_named():
    assert poise.solve("What is 17 + 25?", engine="scripted").value.text == "42"


def test_a_strategy_may_name_its_scorer():
    answer = poise.solve("What is 17 + 25?", strategy="best_of_n:n=5,scorer=agreement", engine="scripted", seed=2)
    assert answer.trace.events[0].plan.scorer == "agreement"


def test_a_request_keeps_its_own_goal_beside_the_deadline():
    request = Request.ask("What is 17 + 25?", Kind.NUMBER, goal=Goal(Budget(calls=2)))
    assert poise.solve(request, strategy="self_consistency:n=9", deadline=30, engine="scripted").usage.calls == 2


def test_an_engine_that_was_given_stays_open():
    async def twice():
        engine = Scripted()
        first = await poise.asolve("What is 1 + 1?", engine=engine)
        second = await poise.asolve("What is 2 + 2?", engine=engine)
        return first, second

    first, second = asyncio.run(twice())
    assert (first.value.text, second.value.text) == ("2", "4")


async def test_solve_inside_a_running_loop_says_what_to_do():
    with pytest.raises(ConfigError, match="asolve"):
        poise.solve("What is 1 + 1?", engine="scripted")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"question": None}, "question"),
        ({"question": 42}, "question"),
        ({"strategy": 5}, "strategy"),
        ({"deadline": "5"}, "deadline"),
        ({"engine": None}, "engine"),
        ({"seed": "a"}, "^seed: .*whole number"),
        ({"seed": 1.5}, "^seed: .*whole number"),
        ({"seed": True}, "^seed: .*whole number"),
        ({"engine": "scriptd"}, "^engine: .* did you mean 'scripted'"),
    ],
)
def test_other_types_are_refused_by_the_name_of_the_field(wrong, field):
    with pytest.raises(ConfigError, match=field):
        poise.solve(**{"question": "What is 3 + 4?", "engine": "scripted"} | wrong)
