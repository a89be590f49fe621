"""The command line on the real embedded engine: an answer, a benchmark, and what kills and interrupts leave behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from poise.config import arms_of
from poise.engines.llamacpp import LlamaCpp
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.scorers import Scorers
from poise.store.run_dir import RunDir

TASK = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"
ARMS = "one=direct:max_tokens=10 vote=self_consistency:n=4,prompt=direct,max_tokens=10"


def poise(*words, **knobs):
    command = [sys.executable, "-m", "poise", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **knobs)


def rows(run: Path):
    return [json.loads(line) for line in (run / "grades.jsonl").read_text().splitlines()]


def test_ask_answers_and_explains():
    done = poise("ask", "What is 2 + 2?", "--strategy", "self_consistency:n=4,prompt=direct", "--explain")
    assert done.returncode == 0, done.stderr
    assert "4 calls" in done.stdout
    assert "stopped" in done.stdout


def test_ask_keeps_its_deadline():
    started = time.monotonic()
    done = poise(
        "ask", "Count from one to one thousand, slowly. How many is that?", "--deadline", "4", "--max-tokens", "1500"
    )
    assert done.returncode == 0, done.stderr
    assert "deadline" in done.stdout or "agreed" in done.stdout or "done" in done.stdout
    assert time.monotonic() - started < 4 + 8  # interpreter, model load and tear-down are outside the deadline


def test_bench_then_report(tmp_path):
    run = tmp_path / "run"
    done = poise("bench", "--task", TASK, "--arms", ARMS, "--limit", "4", "--run", str(run), "--compare", "vote/one")
    assert done.returncode == 0, done.stderr
    assert len(rows(run)) == 8
    assert "McNemar" in done.stdout
    assert poise("report", str(run)).returncode == 0
    page = (run / "report.html").read_text()
    assert "vote" in page
    assert (run / "frontier.png").stat().st_size > 10_000


def test_interrupting_keeps_what_is_finished(tmp_path):
    run = tmp_path / "run"
    words = ["bench", "--task", TASK, "--arms", ARMS, "--limit", "12", "--run", str(run), "--parallel", "2"]
    child = subprocess.Popen([sys.executable, "-m", "poise", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    grades = run / "grades.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (grades.exists() and grades.read_text().count("\n") >= 3):
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert b"Traceback" not in said
    before = rows(run)
    assert 3 <= len(before) < 24
    assert poise(*words).returncode == 0
    after = rows(run)
    assert after[: len(before)] == before
    assert len({(row["item"], row["arm"]) for row in after}) == len(after) == 24


async def test_a_killed_engine_costs_only_what_was_in_flight(tmp_path):
    settings = BenchSettings((TASK,), arms_of([ARMS]), limit=8, parallel=2)
    engine = LlamaCpp(name="main", slots=4)
    killed = []

    def watch(progress):
        if progress.done == 4 and not killed:
            killed.append(engine._process._child.pid)
            os.kill(killed[0], signal.SIGKILL)

    try:
        store = RunDir(tmp_path / "run")
        await bench(settings, {"main": engine}, Scorers(), store, watch)
        failed = [row for row in rows(store.path) if row.get("error")]
        assert killed
        await bench(settings, {"main": engine}, Scorers(), store)
    finally:
        await engine.aclose()
    last = {(row["item"], row["arm"]): row for row in rows(store.path)}
    assert len(last) == 16
    assert not any(row.get("error") for row in last.values())
    assert len(failed) <= 4
