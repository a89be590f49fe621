"""A pool recorded from the embedded engine, killed while it is written, gone on with, and replayed."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from poise.config import arms_of
from poise.engines.replay import Replay
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.evals.outcome import rows_of
from poise.lab.pool import read_pool
from poise.store.pool_dir import FAILURES, PoolDir
from poise.store.run_dir import RunDir
from poise.testing import every_token_told

N, DRAWS = 8, 8
CHILD = """
import asyncio, contextlib, sys
from poise.core import Sampling
from poise.engines.llamacpp import LlamaCpp
from poise.lab.rollouts import record
from poise.store.pool_dir import PoolDir, PoolSettings

async def main():
    async with contextlib.aclosing(LlamaCpp("smollm2-135m-instruct", slots=4, context=256, name="main")) as engine:
        await record(SETTINGS, engine, PoolDir(sys.argv[2]))

SETTINGS = PoolSettings((sys.argv[1],), 8, 1, 8, "bare", Sampling(max_tokens=24, top_logprobs=0))
if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    lines = (
        {"question": f"What is {k} + {k + 1}? Answer with the number.", "answer": str(2 * k + 1)} for k in range(N)
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def started(task, pool):
    return subprocess.Popen([sys.executable, "-c", CHILD, task, str(pool.path)])


def lines(pool):
    shard = pool.path / "draws-00000.jsonl"
    return shard.read_bytes().count(b"\n") if shard.exists() else 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_recording_goes_on_and_its_pool_replays(task, tmp_path):
    pool = PoolDir(tmp_path / "pool")
    with started(task, pool) as child:
        while lines(pool) < 10 and child.poll() is None:
            time.sleep(0.002)
        assert child.poll() is None, "it ended before it could be killed"
        child.send_signal(signal.SIGKILL)
    before = {(draw.item, draw.index): draw for draw in pool.draws()}
    assert 10 <= len(before) < N * DRAWS
    with started(task, pool) as child:
        assert child.wait(100) == 0
    times = Counter((draw.item, draw.index) for draw in pool.draws())
    assert (len(times), set(times.values())) == (N * DRAWS, {1})
    after = {(draw.item, draw.index): draw for draw in pool.draws()}
    assert {place: after[place] for place in before} == before
    assert list(pool.lines(FAILURES)) == []
    for draw in after.values():
        assert every_token_told(draw.draft)
        assert draw.prompt_tokens is not None
    assert len({draw.draft.text for draw in after.values()}) > N
    store = RunDir(tmp_path / "run")
    arms = arms_of(["vote=self_consistency:n=8,prompt=bare,max_tokens=24"])
    asyncio.run(bench(BenchSettings((task,), arms, N, 1), {"main": Replay(pool.path)}, {}, store))
    majority = {one.item.id: one.majority() for one in read_pool(pool.path).items}
    assert {row.item: row.correct for row in rows_of(store)} == majority
