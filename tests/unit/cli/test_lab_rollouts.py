"""`poise lab rollouts` on the scripted engine, and `poise bench` over what it leaves."""

import io

import pytest
import typer
from commands import output_of
from rich.console import Console

from poise.cli import app as poise_app
from poise.cli.lab_rollouts import _report, rollouts
from poise.errors import ConfigError, UnknownName
from poise.lab.pool import read_pool
from poise.store.pool_dir import PoolDir

SUMS = '{"question": "What is %d + 4?", "answer": "%d", "kind": "number"}\n'
app = typer.Typer()
app.command()(rollouts)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(SUMS % (k, k + 4) for k in range(6)))
    return path


def drawn(task, out, *words):
    return output_of(app, "--task", task, "--engine", "scripted", "--out", out, "--draws", 8, *words)


def test_a_pool_is_recorded_summed_up_and_replayed(task, tmp_path):
    out = tmp_path / "pool"
    printed = drawn(task, out, "--seed", 2)
    assert "majority of 8" in printed
    assert "pass@8" in printed
    (row,) = [line.split() for line in printed.splitlines() if line.split()[:1] == ["sums"]]
    assert row[1] == "6"
    assert "48 draws of scripted" in " ".join(printed.split())
    pool = read_pool(out)
    single = sum(sum(one.grades) for one in pool.items) / 48
    assert float(row[2]) == pytest.approx(100 * single, abs=0.051)
    assert printed.endswith(drawn(task, out, "--seed", 2))  # nothing to draw, and no progress to show
    words = ("--task", task, "--arms", "self_consistency:n=8,prompt=bare", "--seed", 2, "--run", tmp_path / "run")
    replayed = output_of(poise_app, "bench", "--engine", out, *words)
    accuracy = 100 * sum(one.majority() for one in pool.items) / 6
    assert f"{accuracy:.1f} [" in replayed
    assert "replayed" in replayed


def test_what_is_missing_is_said(task, tmp_path):
    drawn(task, tmp_path / "pool")
    shard = tmp_path / "pool" / "draws-00000.jsonl"
    shard.write_text("".join(shard.read_text().splitlines(keepends=True)[:-3]))
    console = Console(record=True, width=160, file=io.StringIO())
    _report(console, read_pool(tmp_path / "pool"), tmp_path / "pool")
    assert "3 draws are missing" in console.export_text()


def test_other_settings_are_refused(task, tmp_path):
    drawn(task, tmp_path / "pool")
    with pytest.raises(ConfigError, match=r"sampling\.temperature"):
        drawn(task, tmp_path / "pool", "--temperature", 0.9)
    with pytest.raises(UnknownName, match="bare"):
        drawn(task, tmp_path / "other", "--prompt", "bar")
    with pytest.raises(ConfigError, match="draws"):
        drawn(task, tmp_path / "other", "--draws", 0)
    assert not (tmp_path / "other").exists()


def test_alternatives_are_recorded_where_asked_for(task, tmp_path):
    drawn(task, tmp_path / "pool", "--top-logprobs", 2, "--max-tokens", 50)
    assert {len(top) for draw in PoolDir(tmp_path / "pool").draws() for top in draw.draft.alternatives} == {2}
    assert max(draw.draft.tokens for draw in PoolDir(tmp_path / "pool").draws()) <= 50
