"""`poise lab train` and `poise lab recipes`, with a tiny model in a folder."""

import importlib.util
import json
import signal
import sys
from pathlib import Path

import pytest
from commands import outcome_of

from poise.cli import app
from poise.errors import ConfigError, DataError, UnknownName

sys.path.append(str(Path(__file__).parents[1] / "lab"))
import tiny

RECIPE = """model = {model!r}
tokens = 2000
rank = 4
warmup = 3
batch_tokens = 400
longest = 200

[[source]]
task = "chain_sum:min_terms=2,max_terms=2"
count = 20
validation = 4
"""


def run(*words):
    return outcome_of(app, "lab", *words)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """`poise lab train` by a recipe of ten steps."""
    from poise.models.llama import layer_forward

    monkeypatch.setattr("poise.lab.train.compiled", lambda: layer_forward)
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(model=str(tiny.saved(tmp_path / "model"))))
    return lambda *words: run("train", "--recipe", str(recipe), "--run", str(tmp_path / "run"), *words)


def steps(tmp_path):
    rows = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    return [row["step"] for row in rows if row["kind"] == "step"]


def test_a_training_ends_in_an_adapter(train, tmp_path):
    outcome = train()
    assert outcome.exit_code == 0, outcome.output
    assert "validation losses: chain_sum " in outcome.output
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").exists()
    before = steps(tmp_path)
    again = train()
    assert again.exit_code == 0
    assert f"going on after step {before[-1]}" in again.output
    assert steps(tmp_path) == before


def test_an_unfinished_training_says_so_and_goes_on(train, tmp_path):
    outcome = train("--minutes", "1e-6", "--threads", "1")
    assert outcome.exit_code == 3
    assert "not finished: 0 of 2,000 tokens are done and saved in" in outcome.output
    assert "the same command goes on from there" in outcome.output
    assert not (tmp_path / "run" / "adapter").exists()
    assert train().exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_step_saves_and_says_how_to_go_on(train, tmp_path, monkeypatch, number):
    from poise.lab.progress_bar import TrainingBar

    shown = TrainingBar.__call__

    def interrupted(bar, progress):
        shown(bar, progress)
        if progress.step == 2:
            signal.raise_signal(number)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingBar, "__call__", interrupted)
        outcome = train()
    assert outcome.exit_code == 130
    assert "stopping after this step" in outcome.output
    assert "the same command goes on from there" in outcome.output
    assert steps(tmp_path) == [1, 2]
    assert signal.getsignal(number) == before
    assert train().exit_code == 0
    assert steps(tmp_path)[:4] == [1, 2, 3, 4]


def test_more_tokens_by_a_knob_go_on(train, tmp_path):
    assert train().exit_code == 0
    first = steps(tmp_path)
    assert train("--knob", "tokens=4000").exit_code == 0
    assert len(steps(tmp_path)) > 1.5 * len(first)


def test_recipes_are_listed():
    outcome = run("recipes")
    assert outcome.exit_code == 0
    assert "quick" in outcome.output
    assert "word-problems" in outcome.output
    assert "gsm_symbolic" in outcome.output


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--recipe", "quik"), UnknownName, "did you mean 'quick'"),
        (("--recipe", "none.toml"), DataError, "no such file"),
        (("--knob", "token=5"), UnknownName, "did you mean 'tokens'"),
        (("--knob", "tokens"), ConfigError, "knob=value"),
        (("--knob", "tokens=0"), ConfigError, "above 0"),
        (("--minutes", "0"), ConfigError, "minutes"),
        (("--minutes", "nan"), ConfigError, "minutes"),
        (("--threads", "0"), ConfigError, "threads"),
        (("--data", "gsm8k"), ConfigError, "TASK=PATH"),
        (("--data", "gsm8k=none.jsonl"), DataError, "no such file"),
    ],
)
def test_what_cannot_work_is_refused_with_a_hint(words, error, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        run("train", *words)
    assert hint in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_thoughts_are_taught_by_recipes_with_thoughts_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"quick.*\[quiet_star\] table"):
        run("quiet-star", "train", "--recipe", "quick")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(ConfigError, match="torch is not installed"):  # its own default recipe is one
        run("quiet-star", "train")


def test_a_difficulty_probe_reads_no_surprise(tmp_path):
    with pytest.raises(ConfigError, match="surprise"):
        run("verifier", tmp_path, "--test", tmp_path, "--out", tmp_path / "out", "--kind", "difficulty", "--surprise")


def test_without_the_torch_extra_nothing_is_fetched(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(ConfigError, match=r'pip install "poise\[torch\]"'):
        run("train")
    assert not (tmp_path / "runs").exists()
