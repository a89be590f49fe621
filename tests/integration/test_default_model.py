"""The default model, merged with the adapter that ships."""

import contextlib

from poise.core import Sampling
from poise.engines.llamacpp import LlamaCpp
from poise.lab.pool import read_pool
from poise.lab.rollouts import record
from poise.store.pool_dir import PoolDir, PoolSettings

TASKS = ("leg_counting:min_animals=3,max_animals=6", "gsm_symbolic:templates=0-84")


async def solved(engine, task, n, folder):
    """How many of n questions are answered right, greedily."""
    settings = PoolSettings((task,), n, 900, 1, "bare", Sampling(temperature=0, max_tokens=256))
    await record(settings, engine, PoolDir(folder))
    return sum(one.draws[0].correct for one in read_pool(folder).items)


async def test_it_solves_word_problems_and_its_base_does_not(tmp_path):
    taught, base = LlamaCpp(slots=8, context=768), LlamaCpp("smollm2-135m-instruct", slots=8, context=768)
    async with contextlib.aclosing(taught), contextlib.aclosing(base):
        legs, problems = [await solved(taught, task, 8, tmp_path / str(k)) for k, task in enumerate(TASKS)]
        assert legs >= 3
        assert problems >= 1
        assert await solved(base, TASKS[0], 8, tmp_path / "base") < legs
