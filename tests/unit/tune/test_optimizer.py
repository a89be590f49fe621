"""A whole optimisation on a tiny model: budgets, going on, and what is shipped."""

import json

import pytest

from poise.errors import ConfigError
from poise.tune.archive import Measured
from poise.tune.budget import Spent, TuneBudget
from poise.tune.optimizer import STEPS, Problem, TuneDir, TuneSettings, _finalists, _tuned, initial, optimise
from poise.tune.race import Race
from poise.tune.step import StepSettings

SETTINGS = StepSettings(rows=2, candidates=3, tries=2, reasoning_tokens=4, race=Race(block=2, most=2))
PROMPT = "Go on."


async def run(engine, task, folder, budget, prompt=PROMPT, seed=0, watch=lambda progress: None):
    items = task.items(12, 0)
    problem = Problem(task, tuple(items[:8]), tuple(items[8:]))
    return await optimise(engine, problem, TuneSettings(prompt, budget, SETTINGS, seed=seed), TuneDir(folder), watch)


def steps(folder):
    return [json.loads(line) for line in (folder / STEPS).read_text().splitlines()]


def without_time(rows):
    return [{**row, "spent": {**row["spent"], "seconds": 0}} for row in rows]


async def test_it_steps_while_the_budget_affords_the_next(engine, task, tmp_path):
    seen = []
    result = await run(engine, task, tmp_path / "run", TuneBudget(calls=30), watch=seen.append)
    judging = [one for one in seen if one.judged is not None]
    assert [(one.prompt, one.judged, one.finalists) for one in judging] == [
        (measured.name, place, len(judging)) for place, measured in enumerate(result.detailed_results)
    ]
    seen = seen[: -len(judging)]
    assert result.steps == len(steps(tmp_path / "run")) == len(seen) >= 2
    assert result.spent.calls <= 30
    assert [one.step for one in seen] == list(range(1, result.steps + 1))
    assert (seen[-1].spent, seen[-1].ceiling) == (result.spent.calls, 30)
    assert [row["place"] for row in steps(tmp_path / "run")[:2]] == [0, 1]


async def test_a_step_tells_how_its_prompt_did_and_of_which_tokens_it_is(engine, task, tmp_path):
    seen = []
    await run(engine, task, tmp_path / "run", TuneBudget(calls=30), watch=seen.append)
    told = steps(tmp_path / "run")
    before = PROMPT
    for row, progress in zip(told, seen, strict=False):
        assert "".join(row["tokens"]) == before
        assert row["place"] < len(row["tokens"])
        assert 0 <= row["right"] <= row["rows"] == max(each["rows"] for each in row["tried"]) > 0
        assert (progress.right, progress.rows) == (row["right"], row["rows"])
        before = row["prompt"]


async def test_a_model_that_cannot_gain_keeps_its_prompt(engine, task, tmp_path):
    result = await run(engine, task, tmp_path / "run", TuneBudget(calls=20))
    assert (result.best, result.shown) == (PROMPT, False)
    assert result.gain.low <= 0
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (told["best"], told["shown"]) == (PROMPT, False)


async def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(engine, task, tmp_path):
    whole = await run(engine, task, tmp_path / "whole", TuneBudget(calls=45))

    def kill(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(engine, task, tmp_path / "cut", TuneBudget(calls=45), watch=kill)
    assert len(steps(tmp_path / "cut")) == 2
    again = await run(engine, task, tmp_path / "cut", TuneBudget(calls=45))
    assert without_time(steps(tmp_path / "cut")) == without_time(steps(tmp_path / "whole"))
    assert [one.name for one in again.detailed_results] == [one.name for one in whole.detailed_results]
    with pytest.raises(ConfigError, match="seed"):
        await run(engine, task, tmp_path / "cut", TuneBudget(calls=45), seed=1)


async def test_a_larger_budget_goes_on(engine, task, tmp_path):
    few = await run(engine, task, tmp_path / "run", TuneBudget(calls=15))
    more = await run(engine, task, tmp_path / "run", TuneBudget(calls=40))
    assert more.steps > few.steps


def measured(name, right, tokens=10):
    return Measured(name, tuple(row < right for row in range(100)), (tokens,) * 100, (1.0,) * 100)


@pytest.mark.parametrize(("right", "best"), [(80, "better"), (51, "plain"), (30, "plain")])
def test_a_prompt_ships_only_with_a_gain_that_is_shown(right, best):
    result = _tuned("plain", [measured("plain", 50), measured("better", right)], 3, Spent())
    assert result.best == best
    assert result.gain.mean == pytest.approx((right - 50) / 100)


def test_the_front_has_what_is_shorter_too():
    result = _tuned("plain", [measured("plain", 80, 100), measured("short", 60, 20)], 3, Spent())
    assert {placed.measured.name for placed in result.pareto_front} == {"plain", "short"}


def test_finalists_are_the_last_that_were_accepted_each_once():
    assert _finalists("a", ["a", "b", "c", "b", "d"]) == ["a", "d", "b", "c"]
    assert _finalists("a", ["a", *"bcdefgh"]) == ["a", *"hgfed"]


def test_questions_judge_or_teach(task):
    items = tuple(task.items(6, 0))
    with pytest.raises(ConfigError, match="learnt from"):
        Problem(task, items[:4], items[3:])
    with pytest.raises(ConfigError, match="judge"):
        Problem(task, items, ())


def test_the_prompt_to_begin_with_is_one_line():
    assert initial().endswith(".")
    assert "\n" not in initial()
