"""The surface: compile, headroom and estimate, from plain data to a prompt file."""

import asyncio
import hashlib
import json
import subprocess
import sys

import pytest
from scripted_task import GOOD, sums
from scripted_task import engine as scripted

from poise import prompts
from poise.core import Kind, Request
from poise.errors import AbilityMissing, ConfigError, DataError, UnknownName
from poise.prompts.export import as_python
from poise.tune import Compiled, Objective, Optimizer, StepSettings, TuneBudget
from poise.tune.archive import Measured, archived
from poise.tune.budget import Spent
from poise.tune.compiled import Emitted, starting
from poise.tune.facade import WAYS
from poise.tune.optimizer import _tuned, initial
from poise.tune.pick import Pick
from poise.tune.race import Race

STEP = StepSettings(rows=2, candidates=3, tries=2, reasoning_tokens=16, race=Race(block=2, most=2))


def exact(example, prediction, trace=None):
    return example.answer == prediction.answer


def optimizer(tmp_path, **changes):
    known = {"engine": scripted(), "budget": TuneBudget(calls=120), "by": "gepa", "step": STEP}
    return Optimizer(changes.pop("metric", exact), **{"run_dir": tmp_path / "run", **known, **changes})


def test_compile_gives_a_prompt_its_file_and_the_front(tmp_path):
    seen = []
    found = optimizer(tmp_path).compile("Go on.", trainset=sums(12), valset=sums(60, 50), watch=seen.append)
    assert isinstance(found, Compiled)
    assert (found.best, found.shown) == (GOOD, True)
    assert found.pick("knee") == found.pick(latency=60) == GOOD
    assert {one.name for one in found.detailed_results} == {"Go on.", *(one.name for one in found.detailed_results)}
    point = next(each for each in found.pareto_front if each.measured.name == GOOD)
    assert point.accuracy.low <= point.measured.accuracy <= point.accuracy.high
    assert point.tokens.low < point.tokens.high
    assert len(seen) == found.tuned.steps + len(found.detailed_results)
    file = prompts.load(str(found.path))
    assert file.render(Request.ask("What?"))[0].text == f"What?\n{GOOD}"
    assert "2507.19457" in file.source
    assert (file.measured[0].n, file.measured[0].model) == (60, "scripted")


async def test_the_twin_for_async_code_goes_on_with_a_run(tmp_path):
    given = {"trainset": sums(12), "valset": sums(40, 50)}
    first = await optimizer(tmp_path).acompile("Go on.", **given)
    live = scripted()
    again = await optimizer(tmp_path, engine=live).acompile("Go on.", **given)
    assert (again.best, live.generated) == (first.best, 0)
    with pytest.raises(ConfigError, match="acompile"):
        optimizer(tmp_path).compile("Go on.", **given)
    with pytest.raises(ConfigError, match=r"task.*tune\.json"):
        await optimizer(tmp_path).acompile("Go on.", trainset=sums(12), valset=sums(41, 50))


def test_gradients_on_an_engine_with_weights(engine, task, tmp_path):
    items = task.items(12, 0)
    step = StepSettings(rows=2, candidates=3, tries=2, reasoning_tokens=4, race=Race(block=2, most=2))
    made = Optimizer(task.grade, engine=engine, budget=TuneBudget(calls=30), run_dir=tmp_path / "run", step=step)
    found = asyncio.run(made.acompile("Go on.", trainset=items[:8], valset=items[8:]))
    assert (found.best, found.shown) == ("Go on.", False)
    assert "2412.09722" in found.path.read_text()
    rows = asyncio.run(made.aheadroom("Go on.", trainset=items[:8], rows=2, draws=2))
    assert rows.spent.calls == 6
    assert asyncio.run(made.aestimate("Go on.", trainset=items[:8], valset=items[8:])).calls == 30


def test_shorter_answers_are_looked_for_as_the_command_does(engine, task, tmp_path):
    """The slot is filled, edits of length are raced, the stop term weighs, and a bank of one's own is put in."""
    items, bank = task.items(12, 0), tmp_path / "bank.toml"
    bank.write_text('phrases = ["Be brief.", "Use at most {n} words."]\n')
    made = Optimizer(
        task,
        engine=engine,
        budget=TuneBudget(calls=150),
        run_dir=tmp_path / "run",
        step=StepSettings(rows=2, candidates=3, tries=2, reasoning_tokens=4, race=Race(block=2, most=2)),
        shorter=True,
        phrases=bank,
        pick="knee",
    )
    given = {"trainset": items[:8], "valset": items[8:]}
    found = asyncio.run(made.acompile("Use at most {n} words.", **given))
    assert found.tuned.initial == "Use at most 50 words."
    assert found.picked.name == found.pick("knee")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["best"], result["picked"]) == (found.best, {"prompt": found.picked.name, "rule": "knee"})
    told = json.loads((tmp_path / "run" / "tune.json").read_text())
    assert told["terms"]["stop_weight"] > 0
    assert told["step"]["shorter"]["phrases"]["phrases"] == ["Be brief.", "Use at most {n} words."]
    lines = (tmp_path / "run" / "steps.jsonl").read_text().splitlines()
    assert {"number", "insert"} <= {each["kind"] for line in lines for each in json.loads(line)["tried"]}
    assert asyncio.run(made.aestimate("Use at most {n} words.", **given)).judging.calls == 13 * 4
    assert asyncio.run(made.aheadroom("Use at most {n} words.", trainset=items[:8], rows=2, draws=2)).rows == 2


@pytest.mark.parametrize(("by", "source"), [("greater", "as published"), ("random", "without a gradient")])
def test_the_file_says_how_the_prompt_was_found(engine, task, tmp_path, by, source):
    items = task.items(6, 0)
    made = Optimizer(task, engine=engine, budget=TuneBudget(calls=16), run_dir=tmp_path / "run", by=by, step=STEP)
    found = asyncio.run(made.acompile("Go on", trainset=items[:4], valset=items[4:]))
    assert found.tuned.steps >= 1
    assert source in prompts.load(str(found.path)).source


@pytest.mark.parametrize("by", ["", *(way for way in WAYS if way != "gepa")])
def test_an_engine_without_weights_is_told_what_would_do(tmp_path, by):
    live = scripted()
    with pytest.raises(ConfigError, match=r"weights.*--by gepa") as caught:
        optimizer(tmp_path, by=by, engine=live).compile(trainset=sums(12))
    assert not isinstance(caught.value, AbilityMissing)
    assert live.generated == 0
    assert not (tmp_path / "run").exists()


def test_an_engine_by_its_word_is_closed_in_the_end(tmp_path):
    found = optimizer(tmp_path, engine="scripted", reflection="scripted").compile(
        trainset=sums(12), valset=sums(10, 50)
    )
    assert found.best == initial(), "that model cannot propose"


@pytest.mark.parametrize(
    ("changes", "error", "hint"),
    [
        ({"budget": {"calls": 5}}, ConfigError, "TuneBudget"),
        ({"objectives": ("speed",)}, UnknownName, "seconds"),
        ({"objectives": ("tokens",)}, ConfigError, "accuracy among them"),
        ({"by": "gradients"}, UnknownName, "did you mean 'gradient'"),
        ({"by": "mixed", "reflection": "scripted"}, ConfigError, "gepa"),
        ({"by": "mixed", "engine": "scripted"}, ConfigError, "with weights.*--by gepa"),
        ({"by": "mixed", "engine": "model.gguf"}, ConfigError, "with weights.*--by gepa"),
        ({"pick": "shortest"}, ConfigError, "max_drop=SHARE"),
        ({"shorter": True}, ConfigError, "another way than gepa"),
        ({"by": "greater", "engine": "torch", "shorter": True}, ConfigError, "another way than greater"),
        ({"by": "mixed", "engine": "torch", "phrases": "bank.toml"}, ConfigError, "shorter=True"),
        ({"by": "mixed", "engine": "torch", "shorter": True, "phrases": "no.toml"}, DataError, "no.toml"),
        (
            {"by": "mixed", "engine": "torch", "shorter": True, "objectives": ("accuracy", "seconds")},
            ConfigError,
            "tokens among them",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_when_they_are_made(tmp_path, changes, error, hint):
    with pytest.raises(error, match=hint):
        optimizer(tmp_path, **changes)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"trainset": []}, "trainset.*at least one"),
        ({"trainset": sums(5), "valset": []}, "valset.*at least one"),
        ({"trainset": sums(5), "valset": [{"question": "Q"}]}, r"valset\[0\]\.answer"),
        ({"program": 7, "trainset": sums(5)}, "program.*instructions"),
    ],
)
def test_data_that_cannot_work_is_refused_before_anything_is_spent(tmp_path, given, hint):
    live = scripted()
    with pytest.raises(ConfigError, match=hint):
        optimizer(tmp_path, engine=live).compile(**given)
    assert live.generated == 0


def test_a_budget_below_one_step_is_refused(tmp_path, engine, task):
    with pytest.raises(ConfigError, match=r"budget\.calls.*one step may take"):
        optimizer(tmp_path, budget=TuneBudget(calls=5)).compile(trainset=sums(12))
    items = task.items(12, 0)
    made = Optimizer(task, engine=engine, budget=TuneBudget(calls=11), run_dir=tmp_path / "run", step=STEP)
    with pytest.raises(ConfigError, match="at least 12, which one step may take"):
        asyncio.run(made.acompile("Go on.", trainset=items[:8], valset=items[8:]))
    assert not (tmp_path / "run").exists()


def test_rows_that_always_fail_do_not_raise(tmp_path):
    def picky(example, prediction, trace=None):
        if int(example.answer) % 2:
            raise ValueError("odd")
        return exact(example, prediction)

    found = optimizer(tmp_path, metric=picky).compile("Go on.", trainset=sums(12), valset=sums(40, 50))
    assert all(one.accuracy <= 0.5 for one in found.detailed_results)
    assert found.best == GOOD


class Program:
    """As dspy's Predict."""

    def __init__(self, instructions):
        self.signature = type("Signature", (), {"instructions": instructions})


def test_what_a_program_begins_with(tmp_path):
    assert starting("") == starting(" ") == initial()
    assert starting("Think.") == "Think."
    assert starting(Program("Reason aloud.")) == "Reason aloud."
    header = "---\nid: x\nversion: 1\ndescription: d\nsource: s\n---\n# user\n{question}\nUse {{n}}.\n"
    assert starting(prompts.parse(header.encode(), "x")) == "Use {n}."
    for wrong in (prompts.load("cot"), prompts.load("bare"), Program(""), object()):
        with pytest.raises(ConfigError, match="program"):
            starting(wrong)


def test_what_is_picked_is_tested_once_on_questions_that_nothing_was_chosen_by(tmp_path):
    given = {"trainset": sums(12), "valset": sums(40, 50), "testset": sums(30, 100)}
    seen = []
    found = optimizer(tmp_path).compile("Go on.", **given, watch=seen.append)
    test = found.tested
    assert (test.before.name, test.after.name) == ("Go on.", GOOD)
    assert test.gained.interval.mean == pytest.approx(test.after.accuracy - test.before.accuracy)
    assert test.gained.among == 1
    assert "n = 30" in test.told()
    asked = [one.prompt for one in seen if one.testing]
    assert asked == ["Go on.", GOOD]
    file = prompts.load(str(found.path))
    assert (file.measured[0].n, file.measured[0].accuracy) == (30, pytest.approx(test.after.accuracy, abs=0.001))
    told = json.loads((tmp_path / "run" / "result.json").read_text())["test"]
    assert (told["n"], told["after"]) == (30, test.after.accuracy)
    live = scripted()
    again = optimizer(tmp_path, engine=live).compile("Go on.", **given)
    assert (again.tested, live.generated) == (test, 0)


def test_a_prompt_that_stayed_is_not_tested(tmp_path):
    live = scripted(told=0.2)
    found = optimizer(tmp_path, engine=live).compile(
        "Go on.", trainset=sums(12), valset=sums(40, 50), testset=sums(30, 100)
    )
    assert (found.shown, found.tested) == (False, None)
    assert not (tmp_path / "run" / "test.jsonl").read_text()
    with pytest.raises(ConfigError, match=r"^test: .*not in 'learn' too"):
        optimizer(tmp_path).compile("Go on.", trainset=sums(12), valset=sums(40, 50), testset=sums(3, 2))


def test_picks_name_what_would_do(tmp_path):
    found = optimizer(tmp_path).compile("Go on.", trainset=sums(12), valset=sums(20, 50))
    with pytest.raises(ConfigError, match="what the fastest prompt takes"):
        found.pick(latency=1e-9)
    for wrong in ({}, {"rule": "shortest"}, {"rule": "knee", "latency": 1.0}):
        with pytest.raises(ConfigError, match="pick"):
            found.pick(**wrong)
    assert found.pick(max_drop=0.3) in {one.name for one in found.detailed_results}
    assert found.pick("max_drop=.3") == found.pick(max_drop=0.3)
    assert found.pick("best") == found.best


def test_the_file_is_that_of_what_is_picked(tmp_path):
    def measured(name, right, tokens):
        return Measured(name, tuple(row < right for row in range(100)), (tokens,) * 100, (1.0,) * 100)

    clusters = [str(row) for row in range(100)]
    tuned = _tuned([measured("plain", 80, 100), measured("short", 79, 20)], clusters, 3, Spent())
    for rule, name in (("best", "plain"), ("max_drop=.1", "short"), ("latency=1", "plain")):
        archive = archived(tuned.detailed_results, Objective.named(["accuracy", "tokens"]))
        picked = Pick.read(rule).of(archive, tuned.judged_best)
        assert picked.name == name
        file = prompts.load(str(Emitted(tmp_path, "m", "t", "s").write(picked, "plain", rule)))
        assert file.render(Request.ask("What?"))[0].text == f"What?\n{name}"
        assert file.measured[0].tokens == picked.cost


HEADER = "---\nid: {}\nversion: {}\ndescription: d\nsource: s\n---\n# user\n{{question}}\nGo on.\n"


def test_a_parent_is_the_file_that_was_begun_with_or_the_initial_text(tmp_path):
    given = {"trainset": sums(12), "valset": sums(40, 50)}
    begun = prompts.parse(HEADER.format("plain", 3).encode(), "plain.md")
    file = prompts.load(str(optimizer(tmp_path).compile(begun, **given).path))
    assert (file.parent, file.id, file.version) == (f"plain {begun.hash}", "run", 1)
    file = prompts.load(str(optimizer(tmp_path, run_dir=tmp_path / "text").compile("Go on.", **given).path))
    assert file.parent == f"initial {hashlib.sha256(b'Go on.').hexdigest()[:16]}"


def test_another_prompt_of_the_same_id_has_another_version(tmp_path):
    def written(name, begun=None):
        one = Measured(name, (True,) * 9, (5,) * 9, (1.0,) * 9)
        path = Emitted(tmp_path / "mine", "m", "t", "s", begun).write(one, "Go on.", "best")
        return prompts.load(str(path)).version

    (tmp_path / "mine").mkdir()
    assert [written(name) for name in ("Go on.", "Go on.", "Add {n}.", "Add {n}.", "Go on.")] == [1, 1, 2, 2, 3]
    begun, other = (prompts.parse(HEADER.format(id, 7).encode(), "x.md") for id in ("mine", "other"))
    assert written("Go on.", other) == 3
    assert written("Go on.", begun) == 7
    assert written("Add.", begun) == 8
    (tmp_path / "mine" / "prompt.md").write_text("no prompt")
    assert written("Go on.") == 1


def test_what_cannot_be_picked_is_said_and_nothing_is_asked_anew(tmp_path):
    given = {"trainset": sums(12), "valset": sums(20, 50)}
    with pytest.raises(ConfigError, match="what the fastest prompt takes"):
        optimizer(tmp_path, pick="latency=1e-9").compile("Go on.", **given)
    live = scripted()
    found = optimizer(tmp_path, engine=live, pick="knee").compile("Go on.", **given)
    assert (found.picked.name, live.generated) == (GOOD, 0)


def test_before_compiling(tmp_path):
    made = optimizer(tmp_path)
    room = made.headroom("Go on.", trainset=sums(30), rows=10, draws=4)
    assert (room.rows, room.draws, room.spent.calls) == (10, 4, 50)
    meant = made.estimate("Go on.", trainset=sums(12), valset=sums(20, 50))
    assert meant.calls == 120
    assert not (tmp_path / "run").exists()


def test_the_package_is_light_and_its_names_exist():
    code = "import poise.tune, sys; print(sorted({'numpy', 'gepa', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
    code = "import poise.tune.facade, sys; print(sorted({'gepa', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
    assert Objective.named(["accuracy", Objective.SECONDS]) == (Objective.ACCURACY, Objective.SECONDS)


def test_an_exported_prompt_needs_no_poise(tmp_path):
    found = optimizer(tmp_path).compile("Go on.", trainset=sums(12), valset=sums(40, 50))
    module: dict = {}
    exec(as_python(prompts.load(str(found.path)), Kind.NUMBER), module)
    assert module["messages"]("What is 1 + 1?") == [{"role": "user", "content": f"What is 1 + 1?\n{GOOD}"}]
