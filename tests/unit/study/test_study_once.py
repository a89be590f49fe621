"""Drafts scored once."""

import asyncio

import pytest

from poise.core import Draft, Finish, Kind, Request, Score, Step
from poise.costs import Usage
from poise.study.once import QUESTIONS, Once, Remembering


class Reader:
    """Scores by length; the first of a call pays ten tokens for the prompt."""

    name, needs, top_logprobs = "reader", frozenset(), None

    def __init__(self):
        self.read, self.fail = [], False

    def ready(self):
        raise NotImplementedError

    async def score(self, request, paths):
        await asyncio.sleep(0)
        self.read.append(["".join(step.text for step in path) for path in paths])
        if self.fail:
            return [Score(0.0, failure="broken") for _ in paths]
        return [
            Score(len(text) / 100, Usage(scorer_tokens=len(text) + 10 * (not place)))
            for place, text in enumerate(self.read[-1])
        ]


def asked(question="Why?"):
    return Request.ask(question, Kind.NUMBER)


def paths(*texts):
    return [(Step(id, 0, Draft(text, Finish.EOS, 3), None),) for id, text in enumerate(texts, 1)]


def billed(scores):
    return [score.usage.scorer_tokens for score in scores]


async def test_an_arm_is_billed_as_if_it_were_alone():
    reader = Reader()
    once = Once(reader)
    assert billed(await once.score(asked(), paths("a", "bb"))) == [11, 2]
    assert billed(await once.score(asked(), paths("a", "bb", "ccc", "bb"))) == [11, 2, 3, 2]
    assert reader.read == [["a", "bb"], ["a", "ccc"]]
    assert billed(await once.score(asked(), paths("bb"))) == [12]
    assert billed(await once.score(asked("Who?"), paths("a"))) == [11]
    assert len(reader.read) == 4


async def test_arms_side_by_side_share_one_reading():
    reader = Reader()
    once = Once(reader)
    await asyncio.gather(*(once.score(asked(), paths("a", "bb")) for _ in range(5)))
    assert reader.read == [["a", "bb"]]


async def test_failures_are_not_remembered():
    reader = Reader()
    reader.fail = True
    once = Once(reader)
    assert [score.failure for score in await once.score(asked(), paths("a"))] == ["broken"]
    reader.fail = False
    assert billed(await once.score(asked(), paths("a"))) == [11]


async def test_memory_is_bounded():
    reader = Reader()
    once = Once(reader)
    for number in range(QUESTIONS + 1):
        await once.score(asked(str(number)), paths("a"))
    await once.score(asked(str(QUESTIONS)), paths("a"))
    assert len(reader.read) == QUESTIONS + 1
    await once.score(asked("0"), paths("a"))
    assert len(reader.read) == QUESTIONS + 2


def test_only_scorers_with_weights_are_wrapped():
    reader, plain = Reader(), object()
    wrapped = Remembering({"reader": reader, "plain": plain})
    assert wrapped["plain"] is plain
    with pytest.raises(NotImplementedError):
        wrapped["reader"].ready()
    assert (wrapped["reader"].name, wrapped["reader"].needs, wrapped["reader"].top_logprobs) == (
        "reader",
        frozenset(),
        None,
    )
