"""`poise tune` with a tiny model in a folder, and what it refuses."""

import json
import sys
from pathlib import Path

import pytest
from commands import outcome_of, output_of

from poise import prompts
from poise.cli import app
from poise.core import Request
from poise.errors import ConfigError, UnknownName
from poise.tune.archive import Measured
from poise.tune.emit import prompt_file

sys.path.append(str(Path(__file__).parents[1] / "lab"))
import tiny


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    rows = ({"question": f"What is {k} + 1?", "answer": str(k + 1), "kind": "number"} for k in range(12))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_run_ends_in_a_prompt_file_and_goes_on(task, tmp_path):
    words = ("tune", "--task", task, "--engine", f"torch:{tiny.saved(tmp_path / 'model')}", "--prompt", "Go on.")
    words += ("--learn", 6, "--judge", 4, "--reasoning", 3, "--run", tmp_path / "run")
    told = output_of(app, *words, "--calls", 60)
    assert "no gain shown" in told
    found = prompts.load(str(tmp_path / "run" / "prompt.md"))
    assert found.render(Request.ask("What?"))[0].text == "What?\nGo on."
    assert [one.n for one in found.measured] == [4]
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")
    assert str(tmp_path / "run" / "report.html") in told
    steps = (tmp_path / "run" / "steps.jsonl").read_text().splitlines()
    assert len(output_of(app, *words, "--calls", 120)) > 0
    assert (tmp_path / "run" / "steps.jsonl").read_text().splitlines()[: len(steps)] == steps


def test_a_run_ends_well_without_the_package_that_draws(task, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    words = ("tune", "--task", task, "--engine", f"torch:{tiny.saved(tmp_path / 'model')}", "--prompt", "Go on.")
    outcome = outcome_of(
        app, *words, "--learn", 6, "--judge", 4, "--reasoning", 3, "--run", tmp_path / "run", "--calls", 40
    )
    assert outcome.exit_code == 0
    assert "poise[report]" in outcome.stderr
    assert (tmp_path / "run" / "prompt.md").exists()


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--by", "gradients"), UnknownName, "gradient"),
        (("--calls", "5", "--tokens", "5"), ConfigError, "exactly one"),
        (("--calls", "0"), ConfigError, "above 0"),
        (("--engine", "scripted"), ConfigError, "weights"),
        (("--learn", "12"), ConfigError, "smaller --learn"),
        (("--reasoning", "0"), ConfigError, "reasoning_tokens"),
    ],
)
def test_what_cannot_work_is_refused(task, tmp_path, monkeypatch, words, error, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        outcome_of(app, "tune", "--task", task, "--learn", "6", *words)
    assert hint in str(caught.value)


def test_a_prompt_file_keeps_braces_and_tells_what_it_was_worth():
    one = Measured("x", (True, False, True), (10, 20, 30), (1.0,) * 3)
    text = prompt_file("mine", "Use {n} and \\boxed{}.", "Think.", (one, "tiny", "sums"))
    found = prompts.parse(text.encode(), "mine.md")
    assert found.render(Request.ask("What?"))[0].text == "What?\nUse {n} and \\boxed{}."
    assert (found.measured[0].tokens, found.measured[0].n) == (20, 3)
    assert len(found.parent) == 16
