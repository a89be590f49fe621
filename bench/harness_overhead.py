"""What Poise itself costs: a benchmark on an engine that takes no time, with traces and grades on disk.

10,000 questions x self_consistency 8 on the scripted engine, held to one core. Memory is the growth of the resident
set from just before the benchmark to its peak. Targets: >= 4,000 draws/s, < 300 MB.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, parser, show
from poise.config import arm_of
from poise.engines.scripted import Scripted
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.store.run_dir import GRADES, TRACES, RunDir


def peak_megabytes() -> float:
    """The largest resident set so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def write_questions(path: Path, count: int) -> None:
    """Sums whose truth is known; the scripted engine is right in 60 % of draws."""
    with path.open("w", encoding="utf-8") as file:
        for a in range(count):
            b = a * 7919 % 1000
            question = {"question": f"What is {a} + {b}?", "answer": str(a + b), "kind": "number", "id": f"sum-{a}"}
            file.write(json.dumps(question) + "\n")


async def measure(folder: Path, questions: int, n: int, parallel: int, slots: int) -> tuple[float, float, float]:
    """Seconds until the last question was kept: by the wall, and of processor time; and until all was summed up."""
    write_questions(folder / "questions.jsonl", questions)
    arm = arm_of(f"self_consistency:n={n}")
    settings = BenchSettings((str(folder / "questions.jsonl"),), (arm,), questions, parallel=parallel)
    started, work_started = time.perf_counter(), time.process_time()
    last, work = started, work_started

    def watch(_: object) -> None:
        nonlocal last, work
        last, work = time.perf_counter(), time.process_time()

    await bench(settings, {"main": Scripted(name="main", slots=slots)}, {}, RunDir(folder / "run"), watch)
    return last - started, work - work_started, time.perf_counter() - started


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--questions", type=int, default=10_000)
    arguments.add_argument("--n", type=int, default=8)
    arguments.add_argument("--parallel", type=int, default=8, help="questions at once")
    arguments.add_argument("--slots", type=int, default=16, help="of the engine; 0: unknown, so one call a draw")
    options = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "warm-up").mkdir()
        asyncio.run(measure(folder / "warm-up", 50, 2, 2, options.slots))
        before = peak_megabytes()
        drawn, work, whole = asyncio.run(measure(folder, options.questions, options.n, options.parallel, options.slots))
        growth = peak_megabytes() - before
        disk = sum((folder / "run" / part).stat().st_size for part in (TRACES, GRADES)) / 2**20
    draws = options.questions * options.n
    rate = draws / drawn
    figures = [
        Figure("draws", draws, ""),
        Figure("draws per second, one core", rate, "1/s", ">= 4,000", rate >= 4000),
        Figure("draws per second of processor time", draws / work, "1/s"),
        Figure("growth of resident memory", growth, "MB", "< 300", growth < 300),
        Figure("traces and grades on disk", disk, "MB"),
        Figure("questions, wall", drawn, "s"),
        Figure("questions and summary, wall", whole, "s"),
    ]
    show("Harness overhead, scripted engine without latency", figures, options.json)


if __name__ == "__main__":
    main()
