"""Pools for tests: recorded from the scripted engine."""

import json

from poise.core import Sampling
from poise.engines.scripted import Script, Scripted
from poise.lab.rollouts import record
from poise.store.pool_dir import PoolDir, PoolSettings

N, DRAWS = 12, 16
SAMPLING = Sampling(max_tokens=64, top_logprobs=0)


def script(question):
    """Right in half of the draws, in 6 to 40 tokens; two wrong answers share the rest."""
    truth = question.split()[1]
    return Script(((truth, 0.5), ("-1", 0.3), ("-2", 0.2)), (6, 40), first_byte_seconds=0.05, seconds_per_token=0.01)


def write_task(folder, n=N):
    path = folder / "echo.jsonl"
    path.write_text(
        "".join(json.dumps({"question": f"Say {i} now", "answer": str(i), "id": i}) + "\n" for i in range(n))
    )
    return str(path)


def settings_of(task, **knobs):
    return PoolSettings(**{"tasks": (task,), "limit": N, "seed": 3, "draws": DRAWS, "sampling": SAMPLING, **knobs})


async def recorded(folder, task, engine=None, **knobs):
    """A pool, whole."""
    pool = PoolDir(folder)
    await record(settings_of(task, **knobs), engine or Scripted(script, per_delta=4, slots=8), pool)
    return pool
