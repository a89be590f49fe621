"""`poise tune` with a tiny model in a folder, and what it refuses."""

import json
import sys
from pathlib import Path

import pytest
from commands import outcome_of, output_of

from poise import prompts
from poise.cli import app
from poise.cli.tune import _items
from poise.core import Request
from poise.errors import ConfigError, DataError, UnknownName
from poise.evals.tasks import load_task
from poise.tune.archive import Measured
from poise.tune.emit import beginning, prompt_file
from poise.tune.facade import WAYS
from poise.tune.optimizer import FINALISTS, ON_THE_FRONT

sys.path.append(str(Path(__file__).parents[1] / "lab"))
import tiny


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    rows = ({"question": f"What is {k} + 1?", "answer": str(k + 1), "kind": "number"} for k in range(12))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def told_of(run):
    """The page of a run."""
    return (run / "report.html").read_text()


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


@pytest.mark.parametrize(
    ("rows", "asked", "sizes"),
    [
        (1000, (None, None, None), (60, 300, 300)),
        (61, (None, None, None), (20, 21, 20)),
        (3, (None, None, None), (1, 1, 1)),
        (61, (30, None, None), (30, 16, 15)),
        (61, (30, 31, None), (30, 31, 0)),
        (61, (None, None, 0), (20, 21, 0)),
        (20, (5, 5, 5), (5, 5, 5)),
    ],
)
def test_questions_are_dealt_out_each_once(rows, asked, sizes, tmp_path):
    path = tmp_path / "rows.jsonl"
    told = [{"question": f"What is {k} + 1?", "answer": str(k + 1), "kind": "number"} for k in range(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*told, told[0]]))
    found = _items(load_task(str(path)), "rows.jsonl", asked, (60, 300, 300), 0)
    assert (len(found.learn), len(found.judge), len(found.test or ())) == sizes
    questions = [item.question for item in (*found.learn, *found.judge, *(found.test or ()))]
    assert len(set(questions)) == len(questions)


def test_too_few_questions_are_said(task):
    for asked in ((12, None, None), (6, 6, 1), (None, 12, None)):
        with pytest.raises(ConfigError, match="task"):
            _items(load_task(str(task)), "sums", asked, (60, 300, 300), 0)


def test_shorter_answers_are_looked_for_and_a_prompt_is_picked(task, tmp_path):
    bank = tmp_path / "bank.toml"
    bank.write_text('phrases = ["Be brief.", "Use at most {n} words."]\n')
    words = ("tune", "--task", task, "--engine", f"torch:{tiny.saved(tmp_path / 'model')}", "--shorter")
    words += ("--prompt", "Use at most {n} words.", "--phrases", bank, "--learn", 5, "--judge", 4, "--reasoning", 3)
    words += ("--run", tmp_path / "run", "--calls", 300)
    assert "no gain shown" in output_of(app, *words)
    steps = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert {"number", "insert"} <= {each["kind"] for step in steps for each in step["tried"]}
    assert "by the rule best: the most accurate one with a gain that is shown" in told_of(tmp_path / "run")
    told = output_of(app, *words, "--pick", "knee")
    assert (tmp_path / "run" / "prompt.md").exists()
    assert "prompt.md" in told
    assert "by the rule knee: where more tokens begin to buy little" in told_of(tmp_path / "run")
    with pytest.raises(ConfigError, match="seconds or more"):
        output_of(app, *words, "--pick", "latency=1e-9")


def test_less_time_than_a_step_takes_finds_nothing_and_says_so(task, tmp_path):
    words = ("tune", "--task", task, "--engine", f"torch:{tiny.saved(tmp_path / 'model')}", "--prompt", "Go on.")
    words += ("--learn", 6, "--judge", 4, "--reasoning", 3, "--run", tmp_path / "run")
    told = output_of(app, *words, "--minutes", 1e-5)
    assert "nothing was found: the budget ended within the first step" in told
    assert "at best" not in told
    found = prompts.load(str(tmp_path / "run" / "prompt.md"))
    assert found.render(Request.ask("What?"))[0].text == "What?\nGo on."
    told = output_of(app, *words, "--minutes", 0.05)
    assert "no gain shown" in told
    assert (tmp_path / "run" / "steps.jsonl").read_text()


def test_steps_as_published(task, tmp_path):
    words = ("tune", "--task", task, "--engine", f"torch:{tiny.saved(tmp_path / 'model')}", "--prompt", "Go on")
    words += ("--learn", 5, "--judge", 4, "--reasoning", 3, "--run", tmp_path / "run", "--by", "greater")
    output_of(app, *words, "--calls", 40)
    steps = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert [step["place"] for step in steps] == list(range(len(steps)))
    assert len(steps) == 2
    assert [step["rows"] for step in steps] == [5, 5]
    assert "No step raced picks of the gradient against picks at random" in told_of(tmp_path / "run")


def test_a_run_ends_well_without_the_package_that_draws(task, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    words = ("tune", "--task", task, "--engine", f"torch:{tiny.saved(tmp_path / 'model')}", "--prompt", "Go on.")
    outcome = outcome_of(
        app, *words, "--learn", 6, "--judge", 4, "--reasoning", 3, "--run", tmp_path / "run", "--calls", 60
    )
    assert outcome.exit_code == 0
    assert "poise[report]" in outcome.stderr
    assert (tmp_path / "run" / "prompt.md").exists()


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--by", "gradients"), UnknownName, "one of gepa, gradient, greater, likelihood, mixed, random"),
        (("--calls", "5", "--tokens", "5"), ConfigError, "exactly one"),
        (("--calls", "0"), ConfigError, "above 0"),
        (("--engine", "scripted"), ConfigError, "weights"),
        (("--learn", "12"), ConfigError, "smaller --learn"),
        (("--reasoning", "0"), ConfigError, "reasoning_tokens"),
        (("--pick", "shortest"), ConfigError, "max_drop=SHARE"),
        (("--phrases", "bank.toml"), ConfigError, "--shorter"),
        (("--shorter", "--phrases", "bank.toml"), DataError, "bank.toml"),
        (("--shorter", "--by", "greater"), ConfigError, "accuracy alone"),
        (("--shorter", "--by", "gepa"), ConfigError, "accuracy alone"),
        (("--prompt", "runs/no.md"), DataError, "runs/no.md: got 'No such file or directory'; allowed: a prompt file"),
        (("--prompt", "sums.md"), DataError, "--- to open the header"),
    ],
)
def test_what_cannot_work_is_refused(task, tmp_path, monkeypatch, words, error, hint):
    monkeypatch.chdir(tmp_path)
    Path("sums.md").write_text("Think.")
    with pytest.raises(error) as caught:
        outcome_of(app, "tune", "--task", task, "--learn", "6", *words)
    assert hint in str(caught.value)


def test_a_prompt_file_keeps_braces_and_tells_what_it_was_worth():
    one = Measured("x", (True, False, True), (10, 20, 30), (1.0,) * 3)
    text = prompt_file("mine", "Use {n} and \\boxed{}.", beginning("Think."), (one, "tiny", "sums"))
    found = prompts.parse(text.encode(), "mine.md")
    assert found.render(Request.ask("What?"))[0].text == "What?\nUse {n} and \\boxed{}."
    assert (found.measured[0].tokens, found.measured[0].n) == (20, 3)
    assert (found.parent, found.version) == (beginning("Think."), 1)


def test_reflection_tunes_for_an_engine_without_weights(task, tmp_path):
    words = ("tune", "--task", task, "--engine", "scripted", "--by", "gepa", "--prompt", "Go on.", "--reasoning", 200)
    words += ("--learn", 6, "--judge", 4, "--run", tmp_path / "run")
    told = output_of(app, *words, "--calls", 40)
    assert "no gain shown" in told
    assert "2507.19457" in prompts.load(str(tmp_path / "run" / "prompt.md")).source
    assert "edits were chosen by: gepa" in told_of(tmp_path / "run")
    calls = (tmp_path / "run" / "calls.jsonl").read_text()
    output_of(app, *words, "--calls", 80)
    assert (tmp_path / "run" / "calls.jsonl").read_text().startswith(calls)


def test_a_search_begins_with_a_prompt_file(task, tmp_path):
    words = ("tune", "--task", task, "--engine", "scripted", "--by", "gepa", "--reasoning", 200, "--learn", 6)
    words += ("--judge", 4, "--run", tmp_path / "run", "--calls", 40)
    (tmp_path / "mine.md").write_text(prompt_file("mine", "Go on with {n}.", "Think."))
    told = output_of(app, *words, "--prompt", tmp_path / "mine.md")
    assert json.loads((tmp_path / "run" / "tune.json").read_text())["initial"] == "Go on with {n}."
    assert output_of(app, *words, "--prompt", "Go on with {n}.") == told, "the same run, which costs nothing"
    again = (*words[:-4], "--run", tmp_path / "again", "--calls", 40, "--prompt", tmp_path / "run" / "prompt.md")
    output_of(app, *again)
    assert json.loads((tmp_path / "again" / "tune.json").read_text())["initial"] == "Go on with {n}."


@pytest.mark.parametrize("engine", ["scripted", "torch"])
def test_before_spending_it_says_what_could_be_gained_and_what_it_takes(task, tmp_path, monkeypatch, engine):
    monkeypatch.chdir(tmp_path)
    named = "scripted" if engine == "scripted" else f"torch:{tiny.saved(tmp_path / 'model')}"
    words = ("tune", "--task", task, "--engine", named, "--learn", 6, "--judge", 4, "--reasoning", 60, "--headroom")
    words += ("--prompt", "Go on.", "--calls", 100, *(("--by", "gepa") if engine == "scripted" else ()))
    told = output_of(app, *words)
    assert "any of 8: " in told
    assert "to gain" in told or "too few questions to tell" in told
    assert "steps: 100 calls" in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--engine", "scripted"), "--by gepa"),
        (("--reflection", "scripted"), "nothing, unless by = 'gepa' (--by gepa)"),
        (("--by", "gepa", "--engine", "scripted", "--calls", "5"), "one step may take"),
        (("--by", "gepa", "--engine", "http://localhost:1/v1"), "--model"),
    ],
)
def test_engines_that_cannot_be_tuned_for_are_refused(task, tmp_path, monkeypatch, words, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        outcome_of(app, "tune", "--task", task, "--learn", "6", *words)
    assert hint in str(caught.value)


def test_questions_with_one_answer_are_refused_before_a_model_is_opened(tmp_path):
    path = tmp_path / "same.jsonl"
    path.write_text("".join(f'{{"question": "Is {k} a number?", "answer": "yes"}}\n' for k in range(12)))
    with pytest.raises(ConfigError, match="different answers"):
        outcome_of(app, "tune", "--task", path, "--learn", "6", "--engine", f"torch:{tmp_path / 'nowhere'}")


def test_the_help_names_every_way():
    told = " ".join(output_of(app, "tune", "--help").replace("│", " ").split())
    assert "mixed, gradient, likelihood or random: how edits are chosen; greater:" in told
    assert all(way in told for way in WAYS)


def test_the_help_and_the_readme_say_what_comes_on_top_of_a_budget():
    plain, short = 1 + FINALISTS, 1 + ON_THE_FRONT
    told = " ".join(output_of(app, "tune", "--help").replace("│", " ").split())
    assert f"The judgement comes on top: at most {plain} prompts ({short} with --shorter)" in told
    told = " ".join((Path(__file__).parents[3] / "README.md").read_text().split())
    assert f"The judgement comes on top: at most {plain} prompts ({short} with `--shorter`) on each of the 300" in told
    assert f"up to {plain * 300:,} answers ({short * 300:,})" in told
