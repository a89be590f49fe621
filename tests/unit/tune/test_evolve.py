"""Reflective evolution on a model whose law is known: what it finds and spends, and that it goes on after a kill."""

import asyncio
import importlib.util
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_task import BAD, GOOD, engine, script, sums

from poise.engines.scripted import Script, Scripted
from poise.errors import ConfigError, EngineUnreachable, StoreError
from poise.tune.budget import Spent, TuneBudget
from poise.tune.evolve import EvolveDir, calls_of_round, evolve
from poise.tune.examples import problem_of
from poise.tune.journal import CALLS, Enough, Journal, key_of
from poise.tune.optimizer import DEV, RESULT, STEPS, TuneSettings
from poise.tune.reflect import Reflection, parts
from poise.tune.step import StepSettings

START = "Go on."
STEP = StepSettings(reasoning_tokens=16)


def exact(example, prediction, trace=None):
    return example.answer == prediction.answer


def problem(learn=12, judge=60, metric=exact):
    return problem_of(metric, sums(learn), sums(judge, 50), 0)


def of(folder, budget, live=None, watch=lambda progress: None, **changes):
    live = live or engine()
    made = TuneSettings(changes.pop("prompt", START), budget, STEP, seed=changes.pop("seed", 0))
    reflection = Reflection(changes.pop("reflects", live), tokens=40)
    return evolve(live, reflection, changes.pop("problem", None) or problem(), made, EvolveDir(folder), watch)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def timeless(rows):
    return [{**row, "spent": {**row["spent"], "seconds": 0}} for row in rows]


async def test_it_finds_the_prompt_that_helps_and_shows_the_gain(tmp_path):
    seen = []
    tuned = await of(tmp_path / "run", TuneBudget(calls=120), watch=seen.append)
    assert (tuned.best, tuned.shown) == (GOOD, True)
    assert tuned.gain.mean == pytest.approx(0.7, abs=0.2)
    assert tuned.detailed_results[0].name == START
    rows = lines(tmp_path / "run" / STEPS)
    judging = [one for one in seen if one.judged is not None]
    assert [one.prompt for one in judging] == [one.name for one in tuned.detailed_results]
    assert tuned.steps == len(rows) == len(seen) - len(judging)
    assert seen[-1].spent <= 120
    assert {(row["right"], row["rows"], len(row["tokens"])) for row in rows} == {(0, 0, 0)}
    assert "reflection" in [row["accepted"] for row in rows]
    proposed = {tried["prompt"] for row in rows for tried in row["tried"]}
    assert proposed <= {GOOD, BAD}
    tried = next(each for row in rows for each in row["tried"])
    assert (tried["kind"], tried["source"], tried["slope"], tried["score"]) == ("rewrite", "reflection", None, None)
    assert tried["tokens"] > 0 < tried["incumbent_tokens"]
    assert {row["place"] for row in rows} == {None}
    assert json.loads((tmp_path / "run" / RESULT).read_text())["best"] == GOOD


async def test_what_does_not_help_does_not_ship(tmp_path):
    def law(asked):
        """Right half of the time, whatever the prompt; another half under the proposed one."""
        told = script(asked, plain=0.5, told=0.5, good=1.0)
        return Script(told.answers[::-1], told.tokens) if GOOD in asked else told

    tuned = await of(tmp_path / "run", TuneBudget(calls=150), Scripted(law))
    assert GOOD in [one.name for one in tuned.detailed_results], "a lucky prompt came into the pool"
    assert (tuned.best, tuned.shown) == (START, False)


async def test_a_model_that_is_always_right_has_nothing_to_reflect_on(tmp_path):
    tuned = await of(tmp_path / "run", TuneBudget(calls=40), engine(plain=1.0))
    assert (tuned.best, tuned.steps > 0) == (START, True)
    assert all(row["tried"] == [] for row in lines(tmp_path / "run" / STEPS))


@settings(max_examples=12)
@given(st.integers(13, 90), st.sampled_from(["calls", "tokens"]))
def test_the_budget_is_never_passed(tmp_path_factory, ceiling, unit):
    budget = TuneBudget(**{unit: ceiling if unit == "calls" else 40 * ceiling})
    tuned = asyncio.run(of(tmp_path_factory.mktemp("run") / "run", budget))
    assert getattr(tuned.spent, unit) <= budget.ceiling


async def test_what_was_spent_is_what_was_drawn(tmp_path):
    live = engine()
    tuned = await of(tmp_path / "run", TuneBudget(calls=60), live)
    told = lines(tmp_path / "run" / CALLS)
    assert tuned.spent.calls == sum(row["spent"]["calls"] for row in told)
    judged = sum(sum(row["tokens"]) for row in lines(tmp_path / "run" / DEV))
    read = tuned.spent.tokens + judged - live.generated  # the prompts of proposals count too
    assert 0 < read < tuned.spent.tokens


async def test_a_run_that_was_killed_anywhere_goes_on_as_if_it_had_not_been(tmp_path):
    budget = TuneBudget(calls=70)
    whole = await of(tmp_path / "whole", budget)
    calls = (tmp_path / "whole" / CALLS).read_text().splitlines(keepends=True)
    assert len(calls) > 8
    for cut in range(len(calls) + 1):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        for name in ("tune.json", "environment.json"):
            (folder / name).write_bytes((tmp_path / "whole" / name).read_bytes())
        (folder / CALLS).write_text("".join(calls[:cut]) + '{"key": "answers to')  # a torn line
        live = engine()
        again = await of(folder, budget, live)
        assert again.detailed_results[0].right == whole.detailed_results[0].right
        assert (again.best, again.steps, again.spent.calls) == (whole.best, whole.steps, whole.spent.calls)
        assert timeless(lines(folder / CALLS)) == timeless(lines(tmp_path / "whole" / CALLS))
        assert timeless(lines(folder / STEPS)) == timeless(lines(tmp_path / "whole" / STEPS))


async def test_a_cancelled_run_leaves_nothing_running_and_goes_on(tmp_path):
    whole = await of(tmp_path / "whole", TuneBudget(calls=70))

    def cancel(progress):
        if progress.step == 2:
            running.cancel()

    running = asyncio.ensure_future(of(tmp_path / "cut", TuneBudget(calls=70), watch=cancel))
    with pytest.raises(asyncio.CancelledError):
        await running
    kept = len(lines(tmp_path / "cut" / CALLS))
    await asyncio.sleep(0.05)
    assert len(lines(tmp_path / "cut" / CALLS)) == kept
    again = await of(tmp_path / "cut", TuneBudget(calls=70))
    assert timeless(lines(tmp_path / "cut" / STEPS)) == timeless(lines(tmp_path / "whole" / STEPS))
    assert again.best == whole.best


async def test_a_finished_run_costs_nothing_and_a_larger_budget_goes_on(tmp_path):
    few = await of(tmp_path / "run", TuneBudget(calls=40))
    live = engine()
    again = await of(tmp_path / "run", TuneBudget(calls=40), live)
    assert (again.steps, live.generated) == (few.steps, 0)
    more = await of(tmp_path / "run", TuneBudget(calls=80))
    assert more.steps > few.steps
    assert more.spent.calls > few.spent.calls


@pytest.mark.parametrize("change", [{"seed": 1}, {"prompt": "Begin."}, {"problem": problem(learn=10)}])
async def test_a_run_does_not_go_on_under_other_settings(tmp_path, change):
    await of(tmp_path / "run", TuneBudget(calls=30))
    with pytest.raises(ConfigError, match=r"tune\.json"):
        await of(tmp_path / "run", TuneBudget(calls=30), **change)


async def test_a_record_of_another_search_is_noticed(tmp_path):
    await of(tmp_path / "run", TuneBudget(calls=30))
    told = lines(tmp_path / "run" / CALLS)
    told[0]["key"] = "answers 0123456789abcdef"
    (tmp_path / "run" / CALLS).write_text("".join(json.dumps(row) + "\n" for row in told))
    with pytest.raises(StoreError, match="call 1 was another one"):
        await of(tmp_path / "run", TuneBudget(calls=30))


@pytest.mark.parametrize("budget", [TuneBudget(calls=12), TuneBudget(tokens=200)])
async def test_a_budget_below_one_round_is_refused_before_anything_is_spent(tmp_path, budget):
    live = engine()
    with pytest.raises(ConfigError, match=f"budget.{budget.unit}.*one step may take"):
        await of(tmp_path / "run", budget, live)
    assert live.generated == 0
    assert not (tmp_path / "run").exists()


async def test_seconds_cut_off_what_is_under_way(tmp_path):
    slow = Scripted(lambda asked: Script(script(asked).answers, (8, 12), seconds_per_token=0.02))
    tuned = await of(tmp_path / "run", TuneBudget(seconds=0.3), slow)
    assert tuned.spent.seconds == pytest.approx(0.3, abs=0.1)
    assert [row["key"] for row in lines(tmp_path / "run" / CALLS)].count("cut") == 1
    more = await of(tmp_path / "run", TuneBudget(seconds=0.9), slow)
    assert more.spent.seconds > tuned.spent.seconds


async def test_an_engine_that_is_away_ends_the_sitting_and_what_is_finished_is_kept(tmp_path):
    away = Scripted(lambda asked: Script((("1", 1.0),), (8, 8), failure=1.0))
    with pytest.raises(EngineUnreachable, match="answers failed in a row"):
        await of(tmp_path / "run", TuneBudget(calls=60), away, problem=problem(learn=20))
    assert lines(tmp_path / "run" / CALLS) == []
    assert (await of(tmp_path / "run", TuneBudget(calls=60), problem=problem(learn=20))).steps > 0


async def test_a_model_that_cannot_propose_costs_calls_and_changes_nothing(tmp_path):
    mute = Scripted(lambda asked: Script((("1", 1.0),), (8, 8), failure=1.0))
    tuned = await of(tmp_path / "run", TuneBudget(calls=40), reflects=mute)
    assert (tuned.best, tuned.shown) == (START, False)
    assert {row["told"].get("text") for row in lines(tmp_path / "run" / CALLS)} == {None, ""}


async def test_rows_that_always_fail_count_as_wrong_and_raise_nothing(tmp_path):
    def picky(example, prediction, trace=None):
        if example.question.startswith("What is 5"):
            raise KeyError("no such row")
        return exact(example, prediction)

    tuned = await of(tmp_path / "run", TuneBudget(calls=60), problem=problem(metric=picky))
    assert not any(tuned.detailed_results[0].right[:10]), "50 to 59 cannot be graded"
    assert any(tuned.detailed_results[0].right[10:])
    failed = [row[3] for call in lines(tmp_path / "run" / CALLS) for row in call["told"].get("rows", ())]
    assert any("no such row" in said for said in failed)


async def test_an_error_of_the_watcher_comes_through(tmp_path):
    def broken(progress):
        raise ValueError("of the watcher")

    with pytest.raises(ValueError, match="of the watcher"):
        await of(tmp_path / "run", TuneBudget(calls=60), watch=broken)


async def test_what_the_package_says_goes_to_the_log(tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG, "poise.tune.evolve")
    await of(tmp_path / "run", TuneBudget(calls=30))
    assert "Selected program" in caplog.text
    assert capsys.readouterr().out == ""


async def test_without_the_package_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "poise\[tune\]"'):
        await of(tmp_path / "run", TuneBudget(calls=60))


def test_rounds_cost_what_they_are_said_to():
    assert calls_of_round(Reflection(engine(), rows=3), range(20)) == (7, 17)
    assert [len(part) for part in parts(range(9))] == [5, 4]
    assert parts([1]) == ((1,), (1,))


async def test_a_journal_asks_once_and_stops_at_its_budget(tmp_path):
    asked = []

    async def ask():
        asked.append(1)
        return {"said": "a"}, Spent(3, 30)

    folder, budget = EvolveDir(tmp_path / "run"), TuneBudget(calls=7)
    with folder.claimed({}, {}):
        journal = Journal(folder, budget)
        assert await journal.once(key_of("a", "b"), Spent(3), ask) == {"said": "a"}
        assert (await journal.once(key_of("a", "c"), Spent(4), ask), journal.spent.calls) == ({"said": "a"}, 6)
        with pytest.raises(Enough):
            await journal.once(key_of("a", "d"), Spent(2), ask)
        with pytest.raises(Enough):
            await journal.once(key_of("a", "e"), Spent(0), ask)
    with folder.claimed({}, {}):
        again = Journal(folder, budget)
        assert await again.once(key_of("a", "b"), Spent(9), ask) == {"said": "a"}
    assert len(asked) == 2
    assert key_of("a", "b") != key_of("a", "b", "") != key_of("a", "", "b")
