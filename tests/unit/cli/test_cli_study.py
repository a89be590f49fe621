"""`poise study`: the search study on the scripted engine, and the studies of thoughts up to their models."""

import json

import pytest
from commands import outcome_of, output_of

from poise.cli import app
from poise.errors import ConfigError, UnknownName

SUMS = '{"question": "What is %d + 4?", "answer": "%d", "kind": "number"}\n'
SMALL = ("--engine", "scripted", "--scorer", "mean_logprob", "--quick")


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(SUMS % (k, k + 4) for k in range(6)))
    return path


def test_a_quick_study_prints_its_tables(task, tmp_path, monkeypatch):
    monkeypatch.setattr("poise.study.search.write_picture", lambda analysis, out: out)
    words = ("study", "search", "--task", task, *SMALL, "--run", tmp_path / "study", "--items", 4, "--tree-items", 3)
    printed = output_of(app, *words)
    assert "Flat arms alone, n = 4" in printed
    assert "All arms, n = 3" in printed
    assert "rebase4" in printed
    assert (tmp_path / "study" / "study.md").exists()
    assert output_of(app, *words).splitlines()[-5:] == printed.splitlines()[-5:]


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        (("--tree-items", 9), ConfigError, "tree_items"),
        (("--draws", 0), ConfigError, "width 0"),
        (("--scorer", "verifyer"), UnknownName, "verifier"),
        (("--against", "vote"), UnknownName, "against"),
        (("--prompt", "bar"), UnknownName, "bare"),
        (("--temperature", -1), ConfigError, "temperature"),
        (("--task", "no_such_task"), ConfigError, "task"),
    ],
)
def test_what_cannot_work_is_refused_before_a_token_is_spent(task, tmp_path, words, error, match):
    with pytest.raises(error, match=match):
        outcome_of(app, "study", "search", "--task", task, *SMALL, "--run", tmp_path / "study", *words)
    assert not (tmp_path / "study").exists()


def test_the_published_logs_are_replayed(tmp_path):
    vote = {"answer": "3", "claimed_flops": 1e12, "seconds": 2.0}
    line = {"id": 0, "truth": "3", "votes": [vote, vote], "logged_correct": True}
    (tmp_path / "mine_votes.jsonl").write_text(json.dumps(line) + "\n")
    told = output_of(app, "study", "published", tmp_path)
    assert "mine" in told
    assert "until 2 agree" in told


def test_thoughts_and_search_need_a_model_that_thinks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"quiet_star.*poise lab quiet-star train"):
        outcome_of(app, "study", "inference-scaling-vs-reasoning", tmp_path, "--quick")
