"""A whole optimisation on a tiny model: budgets, going on, and what is shipped."""

import asyncio
import contextlib
import dataclasses
import json

import pytest
from tiny_lm import dense

from poise.engines.torch_lm import TorchLM
from poise.errors import ConfigError
from poise.tune.archive import Measured
from poise.tune.budget import Spent, TuneBudget
from poise.tune.lengths import Shorter
from poise.tune.optimizer import CUT, STEPS, TuneDir, TuneSettings, _tuned, initial, optimise
from poise.tune.phrases import Phrases
from poise.tune.problem import Problem
from poise.tune.race import Race, Standing
from poise.tune.rows import LossTerms
from poise.tune.shortlist import By, Edit, Kind, Source
from poise.tune.step import Stepped, StepSettings, Tried

SETTINGS = StepSettings(rows=2, candidates=3, tries=2, reasoning_tokens=4, race=Race(block=2, most=2))
PROMPT = "Go on."


SHORT = dataclasses.replace(SETTINGS, shorter=Shorter(phrases=Phrases(("Be brief.", "Use {n} words."))))
FAITHFUL = dataclasses.replace(SETTINGS, by=By.GREATER)


async def run(
    engine, task, folder, budget, prompt=PROMPT, seed=0, watch=lambda progress: None, step=SETTINGS, terms=LossTerms()
):
    items = task.items(12, 0)
    problem = Problem(task, tuple(items[:8]), tuple(items[8:]))
    return await optimise(engine, problem, TuneSettings(prompt, budget, step, terms, seed), TuneDir(folder), watch)


def steps(folder, name=STEPS):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


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


@pytest.mark.parametrize(
    ("budget", "step", "terms"),
    [(45, SETTINGS, LossTerms()), (130, SHORT, LossTerms.shorter()), (130, FAITHFUL, LossTerms())],
)
async def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(engine, task, tmp_path, budget, step, terms):
    kind = {"step": step, "terms": terms}
    whole = await run(engine, task, tmp_path / "whole", TuneBudget(calls=budget), **kind)

    def kill(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run(engine, task, tmp_path / "cut", TuneBudget(calls=budget), watch=kill, **kind)
    assert len(steps(tmp_path / "cut")) == 2
    again = await run(engine, task, tmp_path / "cut", TuneBudget(calls=budget), **kind)
    assert without_time(steps(tmp_path / "cut")) == without_time(steps(tmp_path / "whole"))
    assert [one.name for one in again.detailed_results] == [one.name for one in whole.detailed_results]
    with pytest.raises(ConfigError, match="seed"):
        await run(engine, task, tmp_path / "cut", TuneBudget(calls=budget), seed=1, **kind)


async def test_the_published_way_goes_from_place_to_place_and_is_never_above_its_budget(engine, task, tmp_path):
    result = await run(engine, task, tmp_path / "run", TuneBudget(calls=170), step=FAITHFUL)
    found = steps(tmp_path / "run")
    assert [row["place"] for row in found] == list(range(result.steps))
    assert result.steps >= 4
    assert result.spent.calls <= 170
    assert {each["source"] for row in found for each in row["tried"]} == {"gradient"}
    assert all(each["score"] > 0 and each["rows"] == 8 for row in found for each in row["tried"])
    assert all(0 <= row["right"] <= row["rows"] == 8 for row in found)
    assert all(row["place"] <= len(row["tokens"]) for row in found)


async def test_a_budget_below_one_step_is_refused_before_anything_is_asked(engine, task, tmp_path):
    for unit, enough in (("calls", 12), ("tokens", 10_000)):
        with pytest.raises(ConfigError, match=rf"budget.{unit}.*which one step may take"):
            await run(engine, task, tmp_path / unit, TuneBudget(**{unit: 11}))
        assert not (tmp_path / unit).exists()
        assert (await run(engine, task, tmp_path / unit, TuneBudget(**{unit: enough}))).steps >= 1


async def test_a_slot_is_filled_and_stays_so(engine, task, tmp_path):
    seen = []
    result = await run(
        engine, task, tmp_path / "run", TuneBudget(calls=60), "Use {n} words.", step=SHORT, watch=seen.append
    )
    assert result.initial == "Use 50 words."
    assert result.detailed_results[0].name == "Use 50 words."
    assert {"Use 25 words.", "Use 100 words."} <= {each["prompt"] for each in steps(tmp_path / "run")[0]["tried"]}
    with pytest.raises(ConfigError, match=r"\{n\} in front of"):
        await run(engine, task, tmp_path / "other", TuneBudget(calls=60), "Use {n} lines.", step=SHORT)
    plain = await run(engine, task, tmp_path / "plain", TuneBudget(calls=30), "Use {n} lines.")
    assert plain.initial == "Use {n} lines."


async def test_all_that_may_be_on_the_front_are_judged_where_length_counts(engine, task, tmp_path, monkeypatch):
    """Every step accepts something, shorter each time: more prompts than are judged without lengths."""

    async def step(self, number, prompt, place):
        text = f"Go on {'abcdefgh'[number]}."
        tried = Tried(Edit(Kind.SWAP, place, Source.FREE), text, Standing(3, 1, 10), 9.0, 10.0)
        return Stepped(text, tried.edit, (tried,), Spent(calls=1, tokens=1), 0)

    monkeypatch.setattr("poise.tune.step.Stepper.step", step)
    monkeypatch.setattr("poise.tune.step.Stepper.most", lambda self, prompt: Spent(calls=1, tokens=1))
    for name, kind, judged in (("short", SHORT, 9), ("plain", SETTINGS, 6)):
        result = await run(engine, task, tmp_path / name, TuneBudget(calls=8), step=kind)
        assert len(result.detailed_results) == judged
        assert result.detailed_results[1].name == "Go on h."


def test_settings_of_a_run_without_lengths_are_those_of_before(task):
    items = tuple(task.items(4, 0))
    problem = Problem(task, items[:2], items[2:])
    told = TuneSettings(PROMPT, TuneBudget(calls=9), SETTINGS).to_json(problem, "m")["step"]
    assert set(told) == {"by", "rows", "candidates", "tries", "reasoning_tokens", "temperature", "race"}
    short = TuneSettings(PROMPT, TuneBudget(calls=9), SHORT).to_json(problem, "m")["step"]
    assert short["shorter"]["phrases"]["phrases"] == ("Be brief.", "Use {n} words.")


async def test_a_row_that_failed_counts_as_the_longest(engine, task, tmp_path):
    """No prompt gets short or fast by failing: questions that do not fit the window have no answer."""
    items = task.items(12, 0)
    long = dataclasses.replace(items[8], question="x" * 300)
    problem = Problem(task, tuple(items[:8]), (long, items[9]))
    settings = TuneSettings(PROMPT, TuneBudget(calls=15), SETTINGS)
    result = await optimise(engine, problem, settings, TuneDir(tmp_path / "run"))
    one = result.detailed_results[0]
    assert (one.right[0], one.tokens[0]) == (False, 4)
    assert one.tokens[1] <= 4
    assert one.seconds[0] == one.seconds[1] > 0, "it was refused at once"


class Slow(TorchLM):
    """Thinks a while before each answer."""

    asked, pause = 0, 5.0

    async def _deltas(self, *asked):
        self.asked += 1
        await asyncio.sleep(self.pause)
        async with contextlib.aclosing(super()._deltas(*asked)) as deltas:
            async for delta in deltas:
                yield delta


@pytest.fixture
async def slow():
    made = Slow(dense(), slots=16, context=256)
    yield made
    await made.aclose()


async def test_a_step_is_cut_off_where_seconds_run_out_and_a_larger_budget_takes_it(slow, task, tmp_path):
    seen = []

    def hurry(progress):
        seen.append(progress.judged)
        slow.pause = 0.0

    few = await run(slow, task, tmp_path / "run", TuneBudget(seconds=0.5), watch=hurry)
    assert (few.steps, few.best, few.shown, seen) == (0, PROMPT, False, [0])
    assert 0.5 <= few.spent.seconds < 5.0
    assert steps(tmp_path / "run") == []
    [cut] = steps(tmp_path / "run", CUT)
    assert cut == {"step": 0, "spent": {"calls": 0, "tokens": 0, "seconds": few.spent.seconds}}

    asked = slow.asked
    for seconds in (0.5, 1.5 * few.spent.seconds):
        again = await run(slow, task, tmp_path / "run", TuneBudget(seconds=seconds))
        assert (again.spent, slow.asked) == (few.spent, asked), "what is left is less than what was not enough"

    def kill(progress):
        raise KeyboardInterrupt

    for folder, budget in (("run", TuneBudget(seconds=60.0)), ("whole", TuneBudget(calls=15))):
        with pytest.raises(KeyboardInterrupt):
            await run(slow, task, tmp_path / folder, budget, watch=kill)
    assert without_time(steps(tmp_path / "run")) == without_time(steps(tmp_path / "whole"))
    assert len(steps(tmp_path / "run")) == 1


async def test_a_search_with_nothing_to_try_ends(planted_engine, planted_task, tmp_path):
    """A step that asks nothing spends nothing: without an end of its own it would be taken for ever. The model's
    tokenizer knows no word of the bank's only phrase."""
    items = list({item.question: item for item in planted_task.items(40, 0)}.values())
    bank = Shorter(phrases=Phrases(("Unheard",)))
    step = dataclasses.replace(SETTINGS, tries=0, reasoning_tokens=10, shorter=bank)
    problem = Problem(planted_task, tuple(items[:5]), tuple(items[5:]))
    settings = TuneSettings("Go a", TuneBudget(tokens=600), step)
    few = await optimise(planted_engine, problem, settings, TuneDir(tmp_path / "run"))
    lines = steps(tmp_path / "run")
    assert {(line["spent"]["calls"], line["spent"]["tokens"], line["prompt"]) for line in lines} == {(0, 0, "Go a")}
    assert few.steps == len(lines) == len(lines[0]["tokens"]) + 1
    more = dataclasses.replace(settings, budget=TuneBudget(tokens=6_000))
    assert (await optimise(planted_engine, problem, more, TuneDir(tmp_path / "run"))).steps == few.steps


async def test_a_larger_budget_goes_on(engine, task, tmp_path):
    few = await run(engine, task, tmp_path / "run", TuneBudget(calls=15))
    more = await run(engine, task, tmp_path / "run", TuneBudget(calls=40))
    assert more.steps > few.steps


CLUSTERS = [str(row) for row in range(100)]


def measured(name, right, tokens=10):
    return Measured(name, tuple(row < right for row in range(100)), (tokens,) * 100, (1.0,) * 100)


@pytest.mark.parametrize(("right", "best"), [(80, "better"), (51, "plain"), (30, "plain")])
def test_a_prompt_ships_only_with_a_gain_that_is_shown(right, best):
    result = _tuned([measured("plain", 50), measured("better", right)], CLUSTERS, 3, Spent())
    assert result.best == best
    assert result.gain.mean == pytest.approx((right - 50) / 100)


def test_the_front_has_what_is_shorter_too():
    result = _tuned([measured("plain", 80, 100), measured("short", 60, 20)], CLUSTERS, 3, Spent())
    assert {placed.measured.name for placed in result.pareto_front} == {"plain", "short"}


def test_questions_judge_or_teach_or_test(task):
    """Whatever their ids: two rows of a file may ask the same."""
    items = tuple(task.items(6, 0))
    with pytest.raises(ConfigError, match=r"^judge: .*not in 'learn' too"):
        Problem(task, items[:4], items[3:])
    with pytest.raises(ConfigError, match=r"^judge: got 'another'"):
        Problem(task, items[:4], (dataclasses.replace(items[0], id="another"), items[5]))
    with pytest.raises(ConfigError, match=r"^test: .*not in 'judge' too"):
        Problem(task, items[:3], items[3:5], items[4:])
    with pytest.raises(ConfigError, match="judge"):
        Problem(task, items, ())


async def test_a_run_does_not_go_on_with_other_questions_under_the_same_ids(engine, task, tmp_path):
    """Of a file, ids are numbers of lines."""
    items = task.items(12, 0)
    settings = TuneSettings(PROMPT, TuneBudget(calls=15), SETTINGS)
    await optimise(engine, Problem(task, tuple(items[:8]), tuple(items[8:])), settings, TuneDir(tmp_path / "run"))
    for changed in (
        dataclasses.replace(items[9], question="Another?"),
        dataclasses.replace(items[9], truth=items[9].truth + "0"),
    ):
        other = Problem(task, tuple(items[:8]), (items[8], changed, *items[10:]))
        with pytest.raises(ConfigError, match="rows"):
            await optimise(engine, other, settings, TuneDir(tmp_path / "run"))


def test_the_prompt_to_begin_with_is_one_line():
    assert initial().endswith(".")
    assert "\n" not in initial()
