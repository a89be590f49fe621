"""`poise tune --quick` on the embedded model: from nothing to a prompt and its page, and once more for nothing."""

import subprocess
import sys

import pytest

from poise import prompts
from poise.core import Request
from poise.tune.optimizer import initial

TASK = "chain_sum:min_terms=2,max_terms=2,min_digits=1,max_digits=1"
SMALL = ("--calls", "30", "--learn", "3", "--judge", "5", "--reasoning", "12")


def test_a_quick_search_ends_in_a_prompt_and_its_page_and_costs_nothing_once_more(tmp_path):
    pytest.importorskip("torch")
    run = tmp_path / "run"

    def tune():
        command = [sys.executable, "-m", "poise", "tune", "--quick", "--task", TASK, *SMALL, "--run", str(run)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout, {name: (run / name).read_bytes() for name in ("steps.jsonl", "dev.jsonl")}

    told, lines = tune()
    assert "n = 5" in told
    assert lines["steps.jsonl"].count(b"\n") >= 1
    found = prompts.load(str(run / "prompt.md"))
    assert found.measured[0].n == 5
    assert found.render(Request.ask("What is 1 + 1?"))[0].text.startswith("What is 1 + 1?\n")
    if "no gain shown" in told:
        assert found.render(Request.ask("Q"))[0].text == f"Q\n{initial()}"
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert str(run / "report.html") in told
    assert tune() == (told, lines)
