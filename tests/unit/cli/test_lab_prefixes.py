"""`poise lab verifier`, and `poise lab prefixes` over what it trained, on the scripted engine and a tiny policy."""

import json
import sys
from pathlib import Path

import pytest
from commands import output_of
from tiny_lm import dense

from poise.cli import app
from poise.engines.scripted import Script, Scripted, sums
from poise.errors import AbilityMissing, ConfigError, ModelError
from poise.testing import virtual

sys.path.append(str(Path(__file__).parents[1] / "lab"))
from lab_pools import recorded

SUMS = '{"question": "What is %d + 4?", "answer": "%d", "kind": "number"}\n'


def invoke(*words):
    return output_of(app, "lab", *words)


@pytest.fixture
def pools(tmp_path, monkeypatch):
    """Two pools of eight questions, eight drafts of three lines each."""
    monkeypatch.setattr("poise.models.reader.load_dense", lambda name: dense())
    for name, first in (("train", 0), ("test", 10)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(SUMS % (k, k + 4) for k in range(first, first + 8)))
        engine = Scripted(lambda question: Script(sums(question).answers, (9, 20), steps=3), slots=8)
        virtual(recorded(tmp_path / name, str(path), engine, limit=8, draws=8))
    return tmp_path


def test_a_verifier_is_trained_and_checked(pools):
    words = ("--test", pools / "test", "--out", pools / "head", "--model", "default", "--hidden", 4)
    assert "AUROC within question" in invoke("verifier", pools / "train", *words)
    assert json.loads((pools / "head" / "head.json").read_text())["model"] == "default"
    words = ("--engine", "scripted", "--questions", 6, "--draws", 5, "--out", pools / "out", "--head", pools / "head")
    printed = invoke("prefixes", pools / "test", *words)
    assert "12 prefixes of 6 questions" in printed
    assert "of 60 continuations end right" in printed
    assert "going on with scripted from drafts of scripted" in printed
    for name in ("head: Spearman ", "outcome of the one draft: Spearman "):
        assert name in printed
    assert len((pools / "out" / "labels.jsonl").read_text().splitlines()) == 12
    shard = pools / "out" / "draws-00000.jsonl"
    drawn = shard.read_text()
    assert invoke("prefixes", pools / "test", *words).splitlines()[-4:] == printed.splitlines()[-4:]
    assert shard.read_text() == drawn


def test_what_cannot_work_is_refused(pools):
    words = ("prefixes", pools / "test", "--out", pools / "out")
    with pytest.raises(AbilityMissing, match="continue an assistant prefix"):
        invoke(*words, "--engine", pools / "test")
    with pytest.raises(ModelError, match="no head"):
        invoke(*words, "--engine", "scripted", "--head", pools / "none")
    with pytest.raises(ConfigError, match="draws"):
        invoke(*words, "--engine", "scripted", "--draws", 0)
    assert not (pools / "out").exists()
