"""The laws themselves: they hold for what ships, and they catch what breaks them."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from poise.core import ROOT, Delta, Draft, Finish, Pick, Score
from poise.engines.scripted import Scripted
from poise.seams import Stream
from poise.strategies.base import Plain
from poise.testing import check_engine, check_scorer, check_strategy, every_token_told


async def test_the_scripted_engine_keeps_the_laws():
    await check_engine(Scripted(per_delta=3))


async def test_an_engine_that_never_ends_its_text_is_caught():
    class Endless(Scripted):
        def stream(self, prompt, sampling, n=1):
            async def deltas():
                yield Delta("one", 1)

            return Stream(deltas())

    with pytest.raises(AssertionError, match="without finish"):
        await check_engine(Endless())


async def test_an_engine_that_ignores_its_seeds_is_caught():
    class Unseeded(Scripted):
        calls = 0

        def stream(self, prompt, sampling, n=1):
            self.calls += 1

            async def deltas(said=self.calls):
                yield Delta(f"draw {said}", 2, finish=Finish.EOS)

            return Stream(deltas())

    with pytest.raises(AssertionError, match="SEEDS"):
        await check_engine(Unseeded())


@pytest.mark.parametrize(
    ("text", "tokens", "told", "whole"),
    [
        ("one two", 2, 2, True),
        ("one two", 3, 2, True),
        ("one two", 4, 2, False),
        ("one two", 2, 3, False),
        ("one \N{THIN SPACE}", 5, 2, True),
        ("one \N{THIN SPACE}", 6, 2, False),
    ],
)
def test_tokens_within_a_character_need_no_logprob(text, tokens, told, whole):
    assert every_token_told(Draft(text, Finish.EOS, tokens, logprobs=(-0.5,) * told)) is whole


async def test_a_scorer_that_forgets_a_path_is_caught():
    class Forgetful:
        name, needs, top_logprobs = "forgetful", frozenset(), None

        async def score(self, request, paths):
            return [Score(0.5)] * (len(paths) - 1)

    with pytest.raises(AssertionError, match="scores for"):
        await check_scorer(Forgetful())


@dataclass(frozen=True, slots=True)
class Timid(Plain):
    """Has no rule for what is finished at the deadline."""

    name: ClassVar[str] = "timid"
    prompt: str = "cot"

    async def solve(self, request, run):
        steps = await run.draw([ROOT])
        return Pick(steps[0]) if request.goal.budget.seconds is None and steps else self.pick(request, steps, {})

    def pick(self, request, steps, scores):
        raise AssertionError("no rule")


def test_a_strategy_without_a_rule_for_the_deadline_is_caught():
    with pytest.raises(AssertionError, match="no rule"):
        check_strategy(Timid())
