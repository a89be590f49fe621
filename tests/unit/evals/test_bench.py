import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from poise import run
from poise.core import Draft, Finish, Rule, Step, Stopped, Value
from poise.costs import Card, Usage
from poise.engines.scripted import Script, Scripted
from poise.errors import (
    ConfigError,
    EngineError,
    EngineUnreachable,
    ModelError,
    NoAnswer,
    RunError,
    StoreError,
    UnknownName,
)
from poise.evals import energy
from poise.evals.bench import bench
from poise.evals.bench_settings import BenchSettings
from poise.evals.outcome import rows_of, summary_of
from poise.evals.rows import Row
from poise.evals.rows_json import summary_from_json, summary_to_json
from poise.seams import Arm, Plan
from poise.store.run_dir import CONFIG, ENERGY, GRADES, SUMMARY, TRACES, RunDir
from poise.strategies.direct import Direct
from poise.strategies.self_consistency import SelfConsistency
from poise.trace import Answer, Drawn, Launched, Opened, Picked

PLAN = Plan(Direct(), (("main", "scripted"),))
DIRECT, VOTE = Arm("direct", PLAN), Arm("vote", replace(PLAN, strategy=SelfConsistency(3)))
N = 20


@dataclass
class FakeRoad:
    """A `solve` that answers in no time: right by `direct`, wrong by others. `failures` are raised first, one a call;
    `hang_after` calls it never comes back; `hung` when four questions wait so."""

    failures: list[Exception] = field(default_factory=list)
    hang_after: int = 10**9
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    seeds: list[int] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, request, plan, engines, scorers, seed, trace):
        self.seeds.append(seed)
        self.asked.append((request.question, plan.strategy.name))
        trace.append(Opened(request, plan, seed, 1.5e9))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if len(self.asked) == self.hang_after + 4:
                self.hung.set()
            await asyncio.sleep(0 if len(self.asked) <= self.hang_after else 60)
        finally:
            self.at_once -= 1
        if self.failures:
            raise self.failures.pop(0)
        truth = int(request.question.split()[-1])
        value = Value(str(truth if plan.strategy.name == "direct" else truth + 1), Rule.HASHES)
        step = Step(1, 0, Draft(f"#### {value.text}", Finish.EOS, 3), value)
        trace.append(Launched(0.0, 1, 0, "main", "scripted", 256, seed))
        trace.append(Drawn(0.5, step, Usage(calls=1, prompt_tokens=9, new_tokens=3, busy_seconds=0.5, flops=1e6), 0.1))
        trace.append(Picked(0.5, 1, 0.9, 1, Stopped.DONE))
        return Answer(step.text, value, 0.9, Stopped.DONE, trace)


def unreachable(error: RunError | None = None) -> NoAnswer:
    failure = NoAnswer("every draw failed")
    failure.__cause__ = error or EngineUnreachable("connection refused")
    return failure


@pytest.fixture
def store(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


@pytest.fixture
def task(tmp_path: Path) -> str:
    path = tmp_path / "echo.jsonl"
    path.write_text("".join(json.dumps({"question": f"Say {i}", "answer": str(i), "id": i}) + "\n" for i in range(N)))
    return str(path)


@pytest.fixture(autouse=True)
def no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "meter", energy.EstimatedMeter)


def settings_of(task: str, **knobs) -> BenchSettings:
    return BenchSettings(**{"tasks": (task,), "arms": (DIRECT, VOTE), "limit": N, "parallel": 4, **knobs})


async def measure(settings, store, road, watch=None):
    return await bench(settings, {"scripted": Scripted()}, {}, store, watch, road)


def graded_once(store: RunDir) -> bool:
    """Every pair has one row, and all of them are there."""
    counts = Counter((line["item"], line["arm"]) for line in store.lines(GRADES))
    return len(counts) == 2 * N and set(counts.values()) == {1}


def change_items(task: str) -> None:
    Path(task).write_text(Path(task).read_text().replace("Say 3", "Say what"))


async def test_every_item_is_answered_by_every_arm_and_graded(task: str, store: RunDir) -> None:
    road, seen = FakeRoad(), []
    summary = await measure(settings_of(task, compare=(("direct", "vote"),)), store, road, seen.append)
    assert {arm.arm: (arm.n, arm.correct) for arm in summary.arms} == {"direct": (N, N), "vote": (N, 0)}
    assert summary.comparisons[0].only_first == N
    assert graded_once(store)
    assert [(progress.done, progress.total) for progress in seen] == [(i, 2 * N) for i in range(1, 2 * N + 1)]
    assert [(line["item"], line["arm"]) for line in store.lines(TRACES)] == [
        (line["item"], line["arm"]) for line in store.lines(GRADES)
    ]
    row = next(row for row in rows_of(store) if row.arm == "direct")
    assert row == Row(
        item=row.item,
        task="echo",
        cluster=row.item,
        arm="direct",
        truth=row.truth,
        value=row.truth,
        rule="####",
        correct=True,
        complete=True,
        confidence=0.9,
        votes=1,
        stopped=Stopped.DONE,
        usage=Usage(calls=1, prompt_tokens=9, new_tokens=3, seconds=0.5, busy_seconds=0.5, flops=1e6),
        first_token_seconds=0.1,
        wall=1.5e9,
        prefix_reads=1.0,
    )
    assert summary_from_json(store.read(SUMMARY)) == summary == summary_of(store)


async def test_a_summary_has_the_arms_in_the_order_of_the_settings(task: str, tmp_path: Path) -> None:
    first_asked = set()
    for seed in range(4):
        road = FakeRoad()
        summary = await measure(settings_of(task, seed=seed, limit=1, parallel=1), RunDir(tmp_path / str(seed)), road)
        assert [arm.arm for arm in summary.arms] == ["direct", "vote"]
        first_asked.add(road.asked[0][1])
    assert first_asked == {"direct", "self_consistency"}  # else the order of finishing was never put to the test


async def test_arms_share_the_seed_of_an_item_and_items_do_not(task: str, store: RunDir) -> None:
    road = FakeRoad()
    await measure(settings_of(task), store, road)
    seeds: dict[str, set[int]] = {}
    for (question, _), seed in zip(road.asked, road.seeds, strict=True):
        seeds.setdefault(question, set()).add(seed)
    assert all(len(shared) == 1 for shared in seeds.values())
    assert len(set.union(*seeds.values())) == N


async def test_arms_of_an_item_run_side_by_side_in_changing_order(task: str, store: RunDir) -> None:
    road = FakeRoad()
    await measure(settings_of(task, parallel=1), store, road)
    pairs = [road.asked[i : i + 2] for i in range(0, 2 * N, 2)]
    assert all(first[0] == second[0] and first[1] != second[1] for first, second in pairs)
    assert {first[1] for first, _ in pairs} == {"direct", "self_consistency"}


@pytest.mark.parametrize(("parallel", "slots", "most"), [(3, 0, 3), (1, 5, 1), (None, 5, 5), (None, 0, 8)])
async def test_so_many_questions_run_at_once(task: str, store: RunDir, parallel, slots: int, most: int) -> None:
    road, engine = FakeRoad(), Scripted()
    engine.load = lambda: replace(Scripted.load(engine), slots=slots)  # type: ignore[method-assign]
    await bench(settings_of(task, parallel=parallel), {"scripted": engine}, {}, store, None, road)
    assert road.most_at_once == most


async def test_a_finished_run_spends_nothing_more(task: str, store: RunDir) -> None:
    first = await measure(settings_of(task), store, FakeRoad())
    road = FakeRoad()
    assert await measure(settings_of(task), store, road) == first
    assert road.asked == []


async def test_an_interrupted_run_is_summed_up_and_goes_on(task: str, store: RunDir) -> None:
    road = FakeRoad(hang_after=15)
    running = asyncio.create_task(measure(settings_of(task), store, road))
    await road.hung.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert road.at_once == 0
    assert sum(arm["n"] for arm in store.read(SUMMARY)["arms"]) == 15
    rest, seen = FakeRoad(), []
    summary = await measure(settings_of(task), store, rest, seen.append)
    assert len(rest.asked) == 2 * N - 15
    assert (seen[0].before, seen[0].done) == (15, 16)
    assert graded_once(store)
    assert [arm.n for arm in summary.arms] == [N, N]


async def test_an_answer_without_a_grade_is_graded_and_not_bought_again(task: str, store: RunDir) -> None:
    await measure(settings_of(task), store, FakeRoad())
    whole = list(store.lines(GRADES))
    (store.path / GRADES).write_text("".join(json.dumps(line) + "\n" for line in whole[:-2]))
    road = FakeRoad()
    await measure(settings_of(task), store, road)
    assert road.asked == []
    assert list(store.lines(GRADES)) == whole


@pytest.mark.parametrize("error", [None, ModelError("weights are missing")])
async def test_failed_questions_count_as_wrong_and_are_asked_again(task: str, store: RunDir, error) -> None:
    summary = await measure(settings_of(task), store, FakeRoad([unreachable(error) for _ in range(3)]))
    assert sum(arm.failed for arm in summary.arms) == 3
    assert sum(arm.n for arm in summary.arms) == 2 * N
    road = FakeRoad()
    summary = await measure(settings_of(task), store, road)
    assert len(road.asked) == 3
    assert sum(arm.failed for arm in summary.arms) == 0
    assert sum(arm.correct for arm in summary.arms) == N
    assert len(rows_of(store)) == 2 * N


async def test_no_answer_within_the_budget_is_a_wrong_answer_for_good(task: str, store: RunDir) -> None:
    summary = await measure(settings_of(task), store, FakeRoad([NoAnswer("the deadline passed")]))
    assert sum(arm.failed for arm in summary.arms) == 1
    road = FakeRoad()
    assert await measure(settings_of(task), store, road) == summary
    assert road.asked == []


async def test_a_lost_engine_ends_the_run_early_with_what_is_finished(task: str, store: RunDir) -> None:
    class Lost(FakeRoad):
        async def __call__(self, *args):
            if len(self.asked) == 5:
                self.failures = [unreachable() for _ in range(2 * N)]
            return await super().__call__(*args)

    lost = Lost()
    with pytest.raises(EngineError, match=r"8 questions in a row failed.*refused; [45] of 40 are finished"):
        await measure(settings_of(task, parallel=2), store, lost)
    assert len(lost.asked) < 20
    assert store.read(SUMMARY)["arms"]
    await measure(settings_of(task, parallel=2), store, FakeRoad())
    assert Counter(row.error for row in rows_of(store)) == {None: 2 * N}


async def test_a_short_run_without_any_engine_is_an_error_too(task: str, store: RunDir) -> None:
    road = FakeRoad([unreachable() for _ in range(2 * N)])
    with pytest.raises(EngineError, match="2 questions in a row failed"):
        await measure(settings_of(task, limit=1), store, road)


async def test_a_full_disk_ends_the_run_and_keeps_what_is_finished(task: str, store: RunDir, monkeypatch) -> None:
    append, lines = RunDir.append, []

    def full(self, name, data):
        lines.append(name)
        if len(lines) > 12:
            raise StoreError("the disk is full")
        append(self, name, data)

    monkeypatch.setattr(RunDir, "append", full)
    with pytest.raises(StoreError, match="disk is full"):
        await measure(settings_of(task), store, FakeRoad())
    monkeypatch.undo()
    assert len(rows_of(store)) == 5
    monkeypatch.setattr(energy, "meter", energy.EstimatedMeter)
    await measure(settings_of(task), store, FakeRoad())
    assert graded_once(store)


async def test_settings_that_cannot_work_are_refused_before_anything_is_asked(task: str, store: RunDir) -> None:
    for knobs, field_name in (
        ({"arms": ()}, "arms"),
        ({"arms": (DIRECT, DIRECT)}, "arms"),
        ({"tasks": ()}, "tasks"),
        ({"limit": 0}, "limit"),
        ({"parallel": 0}, "parallel"),
    ):
        with pytest.raises(ConfigError) as refused:
            settings_of(task, **knobs)
        assert refused.value.field == field_name
    with pytest.raises(UnknownName, match="did you mean 'direct'"):
        settings_of(task, compare=(("direkt", "vote"),))
    road = FakeRoad()
    with pytest.raises(UnknownName, match="scripted"):
        await measure(settings_of(task, arms=(Arm("a", Plan(Direct(), (("main", "script"),))),)), store, road)
    with pytest.raises(ConfigError, match="comes twice"):
        await measure(settings_of(task, tasks=(task, task)), store, road)
    assert (road.asked, store.path.exists()) == ([], False)


async def test_a_run_goes_on_under_the_same_settings_models_and_items_only(task: str, store: RunDir) -> None:
    await measure(settings_of(task), store, FakeRoad())
    assert {"direct", "cot"} == set(store.read(CONFIG)["prompts"])
    vote = replace(VOTE, plan=replace(VOTE.plan, strategy=SelfConsistency(5)))
    with pytest.raises(ConfigError, match=r"seed, arms\.1\.plan\.strategy\.n"):
        await measure(settings_of(task, seed=1, arms=(DIRECT, vote)), store, FakeRoad())
    other = Scripted(card=Card("another model"))
    with pytest.raises(ConfigError, match=r"models\.scripted"):
        await bench(settings_of(task), {"scripted": other}, {}, store, None, FakeRoad())
    change_items(task)
    with pytest.raises(ConfigError, match="its file or source changed"):
        await measure(settings_of(task), store, FakeRoad())


async def test_measured_joules_add_up_over_sittings(task: str, store: RunDir, monkeypatch) -> None:
    class Meter:
        measured = True

        def read(self) -> float:
            return 20.0

    monkeypatch.setattr(energy, "meter", Meter)
    road = FakeRoad(hang_after=10)
    running = asyncio.create_task(measure(settings_of(task), store, road))
    await road.hung.wait()
    running.cancel()
    await asyncio.wait([running])
    summary = await measure(settings_of(task), store, FakeRoad())
    assert [line["joules"] for line in store.lines(ENERGY)] == [20.0, 20.0]
    assert summary.energy_measured
    assert sum(arm.joules * arm.n for arm in summary.arms) == pytest.approx(40.0)
    monkeypatch.setattr(energy, "meter", energy.EstimatedMeter)
    assert not (await measure(settings_of(task), store, FakeRoad())).energy_measured


async def test_the_real_road_gives_the_accuracy_that_the_script_has(task: str, store: RunDir) -> None:
    def script(question: str) -> Script:
        truth = question.split()[1]
        return Script(((truth, 1.0),) if int(truth) % 4 else (("-1", 1.0),), (6, 9))

    engine = Scripted(script)
    summary = await bench(settings_of(task), {"scripted": engine}, {}, store, None, run.solve)
    assert [arm.correct for arm in summary.arms] == [15, 15]
    assert sum(row.usage.new_tokens for row in rows_of(store)) == engine.generated


async def test_a_summary_comes_back_from_json(task: str, store: RunDir) -> None:
    summary = await measure(settings_of(task, compare=(("vote", "direct"),)), store, FakeRoad())
    assert summary_from_json(json.loads(json.dumps(summary_to_json(summary)))) == summary
