"""The checkpoint that ships thinks, and it helps: on its own questions, and through the command line."""

import asyncio
import contextlib
import statistics

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from poise.cli import app
from poise.core import Sampling, Thinking, ThinkingMode
from poise.engines.quiet_star_lm import QuietStarLM
from poise.evals.stats import mcnemar
from poise.lab.batches import encoded
from poise.lab.data import examples_of
from poise.lab.quiet_star.judging import judged
from poise.lab.recipe import Recipe, Source
from poise.models.quiet_star.files import folder_of, load_quiet_star

SILENT = (("silent", 1.0),)
TASK = "basic_arithmetic:min_terms=3,max_terms=3,min_digits=1,max_digits=1"


@pytest.mark.timeout(300)
def test_more_answers_are_right_with_thoughts_than_without():
    source = Source(TASK, 64, 4500, prompts=SILENT, values=True)
    model, base = load_quiet_star(folder_of(""))
    found = judged(model, encoded(examples_of(Recipe(sources=(source,)), {}).training, base.tokenizer, 128))
    gained = sum(each.mixed_right and not each.base_right for each in found)
    lost = sum(each.base_right and not each.mixed_right for each in found)
    assert gained > lost
    assert mcnemar(gained, lost) < 0.05
    assert sum(each.base - each.mixed for each in found) > 0


def test_it_is_asked_like_any_engine():
    words = [
        "ask",
        "Calculate 3 * 4 - 5.",
        "--engine",
        "quiet-star@exact",
        "--prompt",
        "silent",
        "--strategy",
        "direct",
    ]
    said = CliRunner().invoke(app, [*words, "--explain"])
    assert said.exit_code == 0, said.output
    assert "thought" in said.output


async def likelihoods(engine, prompts, thinking, seed):
    """The mean logprob of each of eight draws from each of some prompts."""

    async def drawn(number, prompt):
        sampling = Sampling(1.0, max_tokens=6, seed=seed + number, top_logprobs=0, thinking=thinking)
        found = [list[float]() for _ in range(8)]
        async for delta in engine.stream(prompt, sampling, 8):
            found[delta.index] += delta.logprobs
        return [statistics.fmean(each) for each in found if each]

    told = await asyncio.gather(*(drawn(number, prompt) for number, prompt in enumerate(prompts)))
    return [each for some in told for each in some]


async def test_amortised_draws_are_as_likely_as_exact_ones():
    """By other seeds, so that only their law is the same: the means agree within three standard errors of their
    difference, which is .4 nats a token at most."""
    source = Source(TASK, 8, 4500, prompts=SILENT, values=True)
    prompts = [each.prompt for each in examples_of(Recipe(sources=(source,)), {}).training]
    async with contextlib.aclosing(QuietStarLM("", context=128, slots=64)) as engine:
        exact = await likelihoods(engine, prompts, Thinking(ThinkingMode.EXACT), 1)
        drafted = await likelihoods(engine, prompts, Thinking(ThinkingMode.AMORTISED, drafts=3), 1000)
    assert min(len(exact), len(drafted)) >= 48
    error = sum(statistics.variance(some) / len(some) for some in (exact, drafted)) ** 0.5
    assert 3 * error < 0.4
    assert abs(statistics.fmean(exact) - statistics.fmean(drafted)) <= 3 * error
