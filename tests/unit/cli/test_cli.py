"""The command line, on the scripted engine: what it prints, and how it refuses."""

import json
import subprocess
import sys

import pytest
from commands import output_of

from poise import prompts, registry
from poise.cli import app
from poise.errors import ConfigError, DataError, StoreError, UnknownName
from poise.store.run_dir import RunDir

SUMS = '{"question": "What is %d + 4?", "answer": "%d", "kind": "number"}\n'


def invoke(*words, stdin=None):
    return output_of(app, *words, stdin=stdin)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(SUMS % (k, k + 4) for k in range(12)))
    return str(path)


def bench(task, run, *words):
    return invoke("bench", "--task", task, "--engine", "scripted", "--run", str(run), *words)


def test_ask_answers():
    printed = invoke("ask", "What is 17 + 25?", "--engine", "scripted", "--strategy", "self_consistency:n=9")
    assert printed.startswith("42\n")
    assert "9 calls" in printed


def test_ask_decides_and_explains():
    printed = invoke("ask", "What is 17 + 25?", "--engine", "scripted", "--explain")
    assert "vote until the leader is 2 ahead" in " ".join(printed.split())
    assert "adaptive_consistency" in printed


def test_ask_takes_a_prompt_for_whatever_was_decided(tmp_path):
    words = ("ask", "What is 17 + 25?", "--engine", "scripted", "--explain", "--prompt")
    read = {name: int(invoke(*words, name).split(" prompt + ")[0].split()[-1]) for name in ("bare", "cot_few_shot")}
    assert read["cot_few_shot"] > 20 * read["bare"]
    mine = tmp_path / "mine.md"
    mine.write_text("---\nid: mine\nversion: 1\ndescription: A test.\nsource: here\n---\n# user\n{question} Now!\n")
    assert invoke(*words, str(mine), "--strategy", "direct").count("42") >= 1


EVERY = [(name, "cot_few_shot") for name in registry.names("strategies") if name != "cascade"]


@pytest.mark.parametrize(("strategy", "prompt"), [*EVERY, *(("direct", name) for name in prompts.names())])
def test_every_strategy_takes_a_prompt_and_every_prompt_asks(strategy, prompt):
    printed = invoke("ask", "What is 1 + 1?", "--engine", "scripted", "--strategy", strategy, "--prompt", prompt)
    assert int(printed.splitlines()[0]) in (0, 2, 3)


def test_ask_reads_standard_input():
    assert invoke("ask", "-", "--engine", "scripted", stdin="What is 1 + 1?").startswith("2\n")


def test_ask_keeps_the_token_ceiling():
    words = ("--strategy", "self_consistency:n=8", "--tokens", "100")
    printed = invoke("ask", "What is 17 + 25?", "--engine", "scripted", *words)
    assert int(printed.split(" new tokens")[0].split(", ")[-1]) <= 100


def test_bench_measures_and_resumes(task, tmp_path):
    first = bench(
        task, tmp_path / "run", "--arms", "direct self_consistency:n=5", "--compare", "self_consistency:n=5/direct"
    )
    assert "self_consistency:n=5" in first
    assert "McNemar" in first
    rows = (tmp_path / "run" / "grades.jsonl").read_text()
    assert rows.count("\n") == 24
    bench(task, tmp_path / "run", "--arms", "direct self_consistency:n=5", "--compare", "self_consistency:n=5/direct")
    assert (tmp_path / "run" / "grades.jsonl").read_text() == rows


def test_bench_reads_a_config(task, tmp_path):
    config = tmp_path / "bench.toml"
    config.write_text(
        f"task = [{task!r}]\nlimit = 3\n[arms.one]\nstrategy = 'direct'\n[engines.main]\nkind = 'scripted'\n"
    )
    printed = invoke("bench", "--config", str(config), "--run", str(tmp_path / "run"), "--limit", "2")
    assert "one" in printed
    assert (tmp_path / "run" / "grades.jsonl").read_text().count("\n") == 2


def test_another_setting_in_one_run_directory_is_refused(task, tmp_path):
    bench(task, tmp_path / "run", "--arms", "direct")
    with pytest.raises(ConfigError, match="seed"):
        bench(task, tmp_path / "run", "--arms", "direct", "--seed", "5")


def test_two_benches_in_one_run_directory_are_refused(task, tmp_path):
    bench(task, tmp_path / "run", "--arms", "direct")
    store = RunDir(tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    with store.claimed(config, {}), pytest.raises(StoreError):
        bench(task, tmp_path / "run", "--arms", "direct")


def test_strategies_lists_and_shows():
    listed = invoke("strategies")
    assert "self_consistency" in listed
    assert "mean_logprob" in listed
    assert "needs: nothing; source: Wang et al. 2022, arXiv 2203.11171" in listed
    assert "needs: continue an assistant prefix, a scorer" in listed
    shown = invoke("strategies", "adaptive_consistency")
    assert "margin|beta|decided" in shown


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("ask", "What is 1 + 1?", "--strategy", "self_consitency"), UnknownName, "self_consistency"),
        (("ask", "What is 1 + 1?", "--strategy", "self_consistency:m=2"), UnknownName, "knob"),
        (("ask", "What is 1 + 1?", "--strategy", "self_consistency:n=0"), ConfigError, "1 to"),
        (("ask", "What is 1 + 1?", "--strategy", "cod"), ConfigError, "chain_of_draft"),
        (("ask", "What is 1 + 1?", "--strategy", "cod"), ConfigError, "chain_of_density"),
        (
            ("ask", "What is 1 + 1?", "--prompt", "cod"),
            ConfigError,
            "chain_of_draft (shorter reasoning steps) or chain_of",
        ),
        (("ask", "What is 1 + 1?", "--prompt", "cott"), UnknownName, "did you mean 'cot'"),
        (("ask", "What is 1 + 1?", "--prompt", "none.md"), DataError, "none.md"),
        (("ask", "What is 1 + 1?", "--prompt", "chain_of_density_round"), ConfigError, "a text"),
        (("ask", "What is 1 + 1?", "--prompt", "cot", "--strategy", "cascade"), ConfigError, "cot(prompt=cot)"),
        (("ask", "What is 1 + 1?", "--scorer", "mean_logprb", "--strategy", "best_of_n"), UnknownName, "mean_logprob"),
        (("ask", "What is 1 + 1?", "--tokens", "0"), ConfigError, "above 0"),
        (("ask", "What is 1 + 1?", "--deadline", "-1"), ConfigError, "above 0"),
        (("ask", "What is 1 + 1?", "--deadline", "nan"), ConfigError, "above 0"),
        (("ask", "What is 1 + 1?", "--max-tokens", "0"), ConfigError, "1 to"),
        (("ask", "What is 1 + 1?", "--kind", "nmber"), UnknownName, "number"),
        (("ask", ""), ConfigError, "text in it"),
        (("ask", "\udcff"), ConfigError, "UTF-8"),
        (("ask", "What is 1 + 1?", "--strategy", "cascade:roles=main+b"), UnknownName, "main"),
        (("bench", "--task", "chain_sum", "--arms", "direct", "--compare", "direct"), ConfigError, "SECOND"),
        (("ask", "x" * 4_000_000), ConfigError, "context"),
        (("bench", "--arms", "direct"), ConfigError, "task"),
        (("bench", "--task", "chain_sum"), ConfigError, "arms"),
        (("bench", "--task", "none.jsonl", "--arms", "direct"), DataError, "none.jsonl"),
        (("bench", "--task", "chain_sm", "--arms", "direct"), UnknownName, "chain_sum"),
        (("bench", "--task", "chain_sum:max_term=2", "--arms", "direct"), UnknownName, "max_terms"),
        (("bench", "--task", "chain_sum", "--arms", "direct", "--limit", "0"), ConfigError, "limit"),
        (("bench", "--task", "chain_sum", "--arms", "direct", "--parallel", "0"), ConfigError, "parallel: got 0"),
        (("bench", "--task", "chain_sum", "--arms", "direct direct"), ConfigError, "distinct"),
    ],
)
def test_what_cannot_work_is_refused_with_a_hint(words, error, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        invoke(*words, "--engine", "scripted")
    assert hint in str(caught.value)


def test_errors_are_one_line_and_an_exit_code(tmp_path):
    words = [sys.executable, "-m", "poise", "ask", "What?", "--strategy", "nothing", "--engine", "scripted"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: strategy: got 'nothing'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "told"), [(["version"], 0, "poise "), (["ask", "x", "--kind", "y"], 2, "")]
)
def test_it_leaves_with_all_it_said_though_a_scorer_still_works(words, status, told):
    """As `aside` leaves it behind when the deadline has come."""
    thread = "threading.Thread(target=threading.Event().wait, name='poise-aside', daemon=True)"
    given = f"sys.argv = {['poise', *words]!r}"
    code = f"import sys, threading; {thread}.start(); {given}; from poise.cli import main; main()"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert left.returncode == status
    assert left.stdout.startswith(told)
    assert bool(left.stderr) is (status > 0)


@pytest.mark.parametrize("strategy", [(), ("--strategy", "self_consistency:n=2")])
def test_a_scorer_that_nothing_would_ask_is_refused(strategy):
    with pytest.raises(ConfigError, match=r"scorer.*does not"):
        invoke("ask", "What is 3 + 4?", "--engine", "scripted", "--scorer", "mean_logprob", *strategy)
