"""Fresh answers under a prompt: graded, paired by their dice, and never an exception."""

import json

import pytest

from poise.core import Message, Role, Sampling
from poise.engines.scripted import Script, Scripted
from poise.evals.tasks import load_task
from poise.tune.generate import generated

SAMPLING = Sampling(max_tokens=80)
MIXED = Script((("7", 0.6), ("8", 0.4)), (10, 30))


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    rows = ({"question": f"What is {k} + {7 - k}?", "answer": "7", "kind": "number"} for k in range(30))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_task(str(path))


def asked(text):
    return lambda item: (Message(Role.USER, f"{item.question}\n{text}"),)


async def made(task, engine, text="Think.", seed=1, items=30):
    return await generated(engine, task, task.items(items, 0), asked(text), SAMPLING, seed)


async def test_answers_are_graded_in_the_order_of_the_items(task):
    engine = Scripted(lambda _: MIXED)
    found = await made(task, engine)
    assert [one.item for one in found] == [item.id for item in task.items(30, 0)]
    assert 0.3 < sum(one.right for one in found) / 30 < 0.9
    assert all(one.right is one.text.endswith("7.") for one in found)
    assert sum(one.tokens for one in found) == engine.generated


async def test_dice_are_those_of_the_place_whatever_the_prompt(task):
    one, other = [await made(task, Scripted(lambda _: MIXED), text) for text in ("Think.", "Go.")]
    assert [each.text for each in one] == [each.text for each in other]
    again = await made(task, Scripted(lambda _: MIXED), seed=2)
    assert [each.text for each in again] != [each.text for each in one]
    few = await made(task, Scripted(lambda _: MIXED), items=5)
    assert [each.text for each in few] == [each.text for each in one[:5]]


async def test_a_row_that_fails_is_wrong_and_says_why(task):
    found = await made(task, Scripted(lambda _: Script((("7", 1.0),), (10, 30), failure=0.5)))
    failed = [one for one in found if one.failure]
    assert 5 < len(failed) < 25
    assert not any(one.right for one in failed)
    assert all("scripted failure" in one.failure for one in failed)
    assert all(one.right for one in found if not one.failure)


async def test_what_was_cut_is_no_answer(task):
    cut = Sampling(max_tokens=3)
    found = await generated(Scripted(lambda _: MIXED), task, task.items(5, 0), asked("x"), cut, 1)
    assert not any(one.right for one in found)
