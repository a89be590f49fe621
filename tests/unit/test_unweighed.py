"""A method that had to do without what it weighs drafts by says so: in the trace, the answer, rows and tables."""

import asyncio
import dataclasses

import pytest

from poise.cli.ask import _answer_line
from poise.core import Kind, Request
from poise.engines.scripted import Script, Scripted
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.report.read import read
from poise.report.table import render
from poise.run import solve
from poise.scoring.logprob import MeanLogprob
from poise.seams import Arm, Plan
from poise.store.run_dir import RunDir
from poise.strategies.best_of_n import BestOfN
from poise.strategies.confidence_vote import ConfidenceVote
from poise.strategies.self_consistency import SelfConsistency
from poise.testing import virtual

SCORERS = {"mean_logprob": MeanLogprob()}
REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER)
SCRIPT = Script((("7", 0.6), ("8", 0.4)), (5, 9))


class Mute(Scripted):
    """A server that could tell logprobs, by what it says of itself, and sends none."""

    async def stream(self, prompt, sampling, n=1):
        async for delta in super().stream(prompt, sampling, n):
            yield dataclasses.replace(delta, logprobs=())


def plan(strategy):
    return Plan(strategy, (("main", "main"),), "mean_logprob" if strategy.scored else None)


@pytest.mark.parametrize(
    ("strategy", "engine", "unweighed"),
    [
        (BestOfN(n=3), Mute, True),
        (BestOfN(n=3), Scripted, False),
        (ConfidenceVote(n=4, warmup=2), Mute, True),
        (ConfidenceVote(n=4, warmup=2), Scripted, False),
        (SelfConsistency(n=3), Mute, False),
    ],
)
def test_the_trace_and_the_answer_say_so(strategy, engine, unweighed):
    answer = virtual(solve(REQUEST, plan(strategy), {"main": engine(lambda _: SCRIPT)}, SCORERS))
    assert answer.trace.unweighed is unweighed
    assert ("they counted alike" in _answer_line(answer)) is unweighed


def test_tables_and_reports_say_so(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(f'{{"question": "What is {k} + 4?", "answer": "{k + 4}"}}\n' for k in range(3)))
    arms = tuple(Arm(way.name, plan(way)) for way in (SelfConsistency(n=3), BestOfN(n=3)))
    settings = BenchSettings((str(path),), arms, limit=3)
    summary = asyncio.run(
        bench(settings, {"main": Mute(lambda _: SCRIPT)}, SCORERS, RunDir(tmp_path / "run"), lambda progress: None)
    )
    assert {arm.arm: arm.unweighed for arm in summary.arms} == {"self_consistency": 0, "best_of_n": 3}
    note = "best_of_n, 3 of 3 questions: no scores or logprobs came"
    assert any(each.startswith(note) for each in read(tmp_path / "run").notes)
    assert any(str(part).startswith(note) for part in render(summary).renderables)
