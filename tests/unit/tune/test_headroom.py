"""What could be gained: shares of outcomes with numbers, and what is said of them."""

import pytest
from scripted_task import engine, sums

from poise.core import Kind, Rule, Value
from poise.engines.scripted import Script, Scripted
from poise.errors import ConfigError
from poise.evals.rows import Item
from poise.tune.budget import TuneBudget
from poise.tune.examples import problem_of
from poise.tune.generate import Generated
from poise.tune.headroom import Room, headroom, measured
from poise.tune.optimizer import TuneSettings
from poise.tune.step import StepSettings


def exact(example, prediction, trace=None):
    return example.answer == prediction.answer


def room_of(live, metric, count, draws=8):
    made = problem_of(metric, sums(count), sums(2, 90), 0)
    return headroom(live, made.task, made.learn, settings(), draws)


def settings(prompt="Go on."):
    return TuneSettings(prompt, TuneBudget(calls=100), StepSettings(reasoning_tokens=16))


def item(name):
    return Item(name, "t", f"{name}?", "2", Kind.NUMBER, name)


def told(*answers):
    """Answers to one question, of which 2 is right; None: none could be read."""
    return [
        Generated("i", tokens=10, right=each == "2", value=Value(each, Rule.LAST_NUMBER) if each else None)
        for each in answers
    ]


def test_shares_of_known_outcomes():
    rows = [told("2", "2", "3", "2"), told("3", "2", "3", "4"), told("5", "5", None, "5"), told("2", "2", "2", "2")]
    found = measured([item(name) for name in "abcd"], told("2", "3", "5", "2"), rows)
    assert (found.rows, found.draws) == (4, 4)
    assert found.greedy.mean == 0.5
    assert found.single.mean == pytest.approx((3 + 1 + 0 + 4) / 16)
    assert found.majority.mean == 0.5, "3 outvotes 2 in the second row"
    assert found.passed.mean == 0.75
    assert found.gap.mean == pytest.approx(0.25)
    assert (found.spent.calls, found.spent.tokens) == (20, 200)
    for share in (found.greedy, found.single, found.majority, found.passed, found.gap):
        assert share.low <= share.mean <= share.high


@pytest.mark.parametrize(
    ("law", "room", "words"),
    [
        ({"plain": 0.0}, Room.FLOOR, "nothing to gain: 8 draws reach 0 %"),
        ({"plain": 1.0}, Room.CEILING, "nothing to gain: one draw is right for 100 %"),
        ({"plain": 0.4}, Room.SOME, "points to gain"),
    ],
)
async def test_what_is_said_of_a_model_whose_law_is_known(law, room, words):
    live = engine(**law)
    found = await room_of(live, exact, 25)
    assert found.room is room
    assert words in found.told()
    assert found.rows == 25
    assert found.spent.calls == 25 * 9
    assert found.spent.tokens == live.generated
    assert found.single.low - 0.05 <= law["plain"] <= found.single.high + 0.05


async def test_few_rows_without_a_gap_tell_nothing():
    certain = Scripted(lambda asked: Script((("1" if "0 + 1" in asked else "0", 1.0),), (8, 8)))
    found = await room_of(certain, exact, 6)
    assert (found.room, found.gap.mean) == (Room.UNSURE, 0.0)
    assert "too few questions" in found.told()


async def test_failures_are_told_and_raise_nothing():
    away = Scripted(lambda asked: Script((("1", 1.0),), (8, 8), failure=1.0))
    found = await room_of(away, exact, 4, draws=2)
    assert (found.failed, found.room) == (12, Room.FLOOR)
    assert found.told().startswith("nothing can be said: every answer failed; the first: scripted")

    def picky(example, prediction):
        if example.answer == "1":
            raise KeyError("gone")
        return True

    some = await room_of(engine(), picky, 4, draws=2)
    assert "(3 answers failed; the first: metric: KeyError: 'gone')" in some.told()


async def test_numbers_that_cannot_work_are_refused():
    made = problem_of(exact, sums(4), None, 0)
    with pytest.raises(ConfigError, match="draws"):
        await headroom(engine(), made.task, made.learn, settings(), 1)
    with pytest.raises(ConfigError, match="rows"):
        await headroom(engine(), made.task, (), settings())
