"""`poise lab train --recipe quick`, from nothing to answers: trained in two sittings, exported, merged, asked."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
LIMIT_SECONDS = 600.0
HELD_OUT = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=2"


def poise(*words, expected=0):
    command = [sys.executable, "-m", "poise", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == expected, done.stderr
    return done


def curve(run: Path):
    rows = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "step"], rows[-1]["losses"]


def answers(run: Path):
    """The texts of the bench's draws, as they were traced."""
    for line in (run / "traces.jsonl").read_text().splitlines():
        yield json.dumps(json.loads(line)["trace"])


def test_the_quick_recipe_runs_end_to_end_in_ten_minutes(tmp_path):
    pytest.importorskip("torch")
    started = time.monotonic()
    run, gguf = tmp_path / "run", tmp_path / "quick.gguf"
    first = poise("lab", "train", "--recipe", "quick", "--run", run, "--minutes", "1", expected=3)
    assert "the same command goes on from there" in first.stderr
    done = poise("lab", "train", "--recipe", "quick", "--run", run)
    assert "going on after step" in done.stderr
    losses, validation = curve(run)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert set(validation) == {"chain_sum", "products", "gsm_symbolic", "gsm_symbolic new templates"}
    assert validation["chain_sum"] < 0.6 * losses[0]
    poise("models", "merge", run / "adapter", "--out", gguf)
    arms = "greedy=direct:prompt=bare,temperature=0,max_tokens=96"
    measured = tmp_path / "measured"
    poise(
        "bench", "--task", HELD_OUT, "--arms", arms, "--engine", gguf, "--limit", "8", "--seed", "99", "--run", measured
    )
    worked = [text for text in answers(measured) if re.search(r"#### -?\d", text)]
    assert len(worked) >= 6, "the adapter's first lesson is to end its work in a marked value"
    assert time.monotonic() - started < LIMIT_SECONDS
