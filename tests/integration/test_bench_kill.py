"""A benchmark killed again and again ends as one that was left alone."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from poise.evals.outcome import rows_of
from poise.store.run_dir import GRADES, SUMMARY, TRACES, RunDir

N = 40
CHILD = """
import asyncio, sys
from poise.engines.scripted import Script, Scripted
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.seams import Arm, Plan
from poise.store.run_dir import RunDir
from poise.strategies.direct import Direct
from poise.strategies.self_consistency import SelfConsistency

def script(question):
    truth = question.split()[1]
    return Script(((truth, 0.6), ("-1", 0.4)), (6, 12), first_byte_seconds=0.01, seconds_per_token=0.001)

engines = (("main", "scripted"),)
arms = Arm("direct", Plan(Direct(), engines)), Arm("vote", Plan(SelfConsistency(5), engines))
settings = BenchSettings((sys.argv[1],), arms, limit=40, parallel=4)
asyncio.run(bench(settings, {"scripted": Scripted(script)}, {}, RunDir(sys.argv[2])))
"""


@pytest.fixture
def task(tmp_path: Path) -> Path:
    path = tmp_path / "echo.jsonl"
    path.write_text("".join(json.dumps({"question": f"Say {i} again", "answer": str(i)}) + "\n" for i in range(N)))
    return path


def started(task: Path, store: RunDir) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(task), str(store.path)])


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def killed_while_writing(task: Path, store: RunDir, more_bytes: int) -> None:
    """Start, let traces grow by so many bytes, and kill -9."""
    before = size(store.path / TRACES)
    with started(task, store) as child:
        while size(store.path / TRACES) < before + more_bytes and child.poll() is None:
            time.sleep(0.001)
        assert child.poll() is None, "it ended before it could be killed"
        child.send_signal(signal.SIGKILL)


def tear(path: Path) -> None:
    """What a `write` cut short leaves behind: the last line, but half of it."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - (len(data) - data.rfind(b"\n", 0, -1)) // 2])


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_goes_on_and_nothing_is_lost_or_counted_twice(task: Path, tmp_path: Path) -> None:
    whole, torn = RunDir(tmp_path / "whole"), RunDir(tmp_path / "torn")
    with started(task, whole) as child:
        assert child.wait(60) == 0
    dice = random.Random(7)
    for turn in range(4):
        killed_while_writing(task, torn, dice.randrange(1_000, 12_000))
        if turn in (1, 3):
            tear(torn.path / (GRADES if turn == 1 else TRACES))
    with started(task, torn) as child:
        assert child.wait(60) == 0
    times = Counter((line["item"], line["arm"]) for line in torn.lines(GRADES))
    assert len(times) == 2 * N
    assert set(times.values()) == {1}
    outcomes = [
        {(row.item, row.arm): (row.correct, row.value, row.usage.calls, row.usage.new_tokens) for row in rows_of(run)}
        for run in (whole, torn)
    ]
    assert outcomes[0] == outcomes[1]
    first, second = whole.read(SUMMARY), torn.read(SUMMARY)
    assert first
    assert second
    assert (first["hypervolume"], first["oracle"]) == (second["hypervolume"], second["oracle"])
    assert [(arm["arm"], arm["accuracy"]) for arm in first["arms"]] == [
        (arm["arm"], arm["accuracy"]) for arm in second["arms"]
    ]
