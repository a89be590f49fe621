"""A tiny study from end to end, on the scripted engine."""

import contextlib
import json
from collections import Counter

import pytest

from poise.core import Sampling
from poise.engines.scripted import Script, Scripted
from poise.errors import AbilityMissing, ConfigError, EngineError, UnknownName
from poise.scorers import Scorers
from poise.study.arms import FLAT, TREE, Terms, read_arms, way_of
from poise.study.picture import write_picture
from poise.study.search import ANALYSIS, PAGE, PICTURE, StudyDir, search
from poise.study.settings import SearchSettings

SAMPLING = Sampling(max_tokens=40)
TERMS = Terms("bare", SAMPLING, "mean_logprob")
FLAT_ARMS = """
[arms.single]
strategy = "cot"
[arms.vote2]
strategy = "self_consistency"
n = 2
[arms.vote4]
strategy = "self_consistency"
n = 4
[arms.verified4]
strategy = "weighted_vote"
scorer = "surprisal"
n = 4
"""
TREE_ARMS = """
[arms.rebase4]
strategy = "rebase"
scorer = "surprisal"
width = 4
[arms.dvts4]
strategy = "dvts"
width = 4
expand = 2
"""


def script(question):
    """Right in four of five draws of the early items, in one of five of the late ones; over two lines."""
    number = int(question.split()[1])
    right = 0.8 if number < 6 else 0.2
    return Script(((str(number), right), ("-1", 1 - right)), (8, 20), steps=2, remembers=True)


class Killed(BaseException):
    """What no part of a study catches."""


class Dying(Scripted):
    """Ends the process, as it were, after so many calls."""

    def __init__(self, calls):
        super().__init__(script, slots=4)
        self.calls = calls

    def stream(self, prompt, sampling, n=1):
        self.calls -= 1
        if self.calls < 0:
            raise Killed
        return super().stream(prompt, sampling, n)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "echo.jsonl"
    lines = ({"question": f"Say {i} now", "answer": str(i), "id": i} for i in range(12))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def arms(tmp_path):
    files = tmp_path / "flat.toml", tmp_path / "tree.toml"
    for file, text in zip(files, (FLAT_ARMS, TREE_ARMS), strict=True):
        file.write_text(text)
    return files


@pytest.fixture
def settings(task, arms):
    return settings_of(task, arms)


def settings_of(task, arms, **knobs):
    flat, tree = (read_arms(file, TERMS, 4) for file in arms)
    given = {"tasks": (task,), "limit": 12, "tree_limit": 8, "draws": 4, "seed": 3, "prompt": "bare"}
    return SearchSettings(flat, tree, **{**given, "sampling": SAMPLING, **knobs})


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Drawing takes longer than a tiny study."""
    monkeypatch.setattr("poise.study.search.write_picture", lambda analysis, out: out)


class Shown:
    """Titles of the phases, and how much each was told."""

    def __init__(self):
        self.told = Counter()

    def __call__(self, title):
        return contextlib.nullcontext(lambda progress: self.told.update([title]))


async def studied(settings, folder, engine=None, shown=None):
    scorers = Scorers()
    return await search(settings, engine or Scripted(script, slots=4), scorers, StudyDir(folder), shown or Shown(), 4)


async def test_a_study_from_draws_to_page(settings, tmp_path):
    shown = Shown()
    found = await studied(settings, tmp_path / "study", shown=shown)
    assert list(shown.told.values()) == [12 * 4, 12 * 4, 8 * 2]  # draws; flat answers; tree answers
    assert {arm.arm: arm.n for arm in found.flat.arms} == dict.fromkeys(("single", "vote2", "vote4", "verified4"), 12)
    assert {arm.n for arm in found.joint.arms} == {8}
    assert {arm.failed for arm in found.joint.arms} == {0}
    assert {(duel.tree, duel.family) for duel in found.duels} == {
        (tree, family)
        for tree in ("rebase4", "dvts4")
        for family in ("self_consistency", "weighted_vote · mean_logprob")
    }
    assert sum(third.n for third in found.splits[0].thirds) == 8
    assert [(split.first, split.last) for split in found.splits] == [(1, 4), (3, 4)]
    page = (tmp_path / "study" / PAGE).read_text()
    assert "n = 8" in page
    assert "seed 3" in page
    assert "`rebase4`" in page
    assert write_picture(found, tmp_path / "study" / PICTURE).stat().st_size > 10_000
    assert json.loads((tmp_path / "study" / ANALYSIS).read_text())["seed"] == 3


async def test_flat_arms_choose_from_the_pool(settings, tmp_path):
    found = await studied(settings, tmp_path / "study")
    pool = StudyDir(tmp_path / "study").pool
    first = {draw.item: draw.correct for draw in pool.draws() if draw.index == 0}
    assert found.flat.arms[0].correct == sum(first.values())
    assert found.flat.replayed is found.joint.replayed is True


@pytest.mark.parametrize("calls", [5, 14, 20])  # the pool takes 12, trees the rest
async def test_a_killed_study_goes_on(settings, tmp_path, calls):
    whole = await studied(settings, tmp_path / "whole")
    with pytest.raises(Killed):
        await studied(settings, tmp_path / "killed", Dying(calls))
    assert not (tmp_path / "killed" / PAGE).exists()
    again = await studied(settings, tmp_path / "killed")
    assert again.duels == whole.duels
    assert again.affords == whole.affords


async def test_a_finished_study_costs_nothing_more(settings, tmp_path):
    first = await studied(settings, tmp_path / "study")
    engine, shown = Scripted(script, slots=4), Shown()
    second = await studied(settings, tmp_path / "study", engine, shown)
    assert engine.generated == 0
    assert not shown.told
    assert second.duels == first.duels


async def test_other_settings_are_refused(settings, task, arms, tmp_path):
    await studied(settings, tmp_path / "study")
    with pytest.raises(ConfigError, match="tree_items"):
        await studied(settings_of(task, arms, tree_limit=7), tmp_path / "study")


async def test_draws_that_failed_are_asked_for_again(settings, tmp_path):
    def broken(question):
        return Script(((question.split()[1], 1.0),), (8, 20), failure=float("3" in question))

    with pytest.raises(EngineError, match=r"4 of 48 draws failed; the same command"):
        await studied(settings, tmp_path / "study", Scripted(broken, slots=4))
    assert (await studied(settings, tmp_path / "study")).joint.arms[0].n == 8


async def test_what_cannot_work_is_refused_before_a_token_is_spent(settings, task, arms, tmp_path):
    engine, folder = Scripted(script), tmp_path / "study"
    engine.can -= {next(iter(settings.tree[0].plan.strategy.needs))}
    with pytest.raises(AbilityMissing):
        await studied(settings, folder, engine)
    whole = Scripted(script)
    with pytest.raises(ConfigError, match="task"):
        await studied(settings_of("no_such_task", arms), folder, whole)
    assert engine.generated == whole.generated == 0
    assert not folder.exists()
    for knobs, match in (
        ({"tree_limit": 13}, r"tree_items: got 13; allowed: 1 to items = 12"),
        ({"draws": 3}, r"draws, for vote4: got 3; allowed: at least 4"),
        ({"limit": 0}, "limit"),
        ({"tasks": ()}, "tasks"),
    ):
        with pytest.raises(ConfigError, match=match):
            settings_of(task, arms, **knobs)
    with pytest.raises(UnknownName, match="self_consistency"):
        settings_of(task, arms, against=("self_consistancy",))
    with pytest.raises(AbilityMissing, match="pool of draws"):
        settings_of(task, (arms[1], arms[0]))


def test_arms_of_a_file_come_to_the_same_terms(arms):
    flat, tree = (read_arms(file, TERMS, 4) for file in arms)
    assert [way_of(arm, tree=False).scorer for arm in flat] == [None, None, None, "mean_logprob"]
    assert {arm.plan.strategy.prompt for arm in (*flat, *tree)} == {"bare"}
    assert {arm.sampling for arm in (*flat, *tree)} == {SAMPLING}
    assert [arm.name for arm in read_arms(arms[0], TERMS, 2)] == ["single", "vote2"]


def test_what_terms_make_equal_comes_once():
    learnt, plain = read_arms(FLAT, Terms(), 32), read_arms(FLAT, TERMS, 32)
    assert len(learnt) - len(plain) == 10
    assert not any(arm.plan.scorer == "surprisal" for arm in plain)
    assert {way_of(arm, tree=False).width for arm in plain} == {1, 2, 4, 8, 16, 32}
    trees = read_arms(TREE, Terms(), 16)
    assert {way_of(arm, tree=True).scorer for arm in trees} == {"surprisal"}
    assert {way_of(arm, tree=True).width for arm in trees} == {4, 16}
    assert len(read_arms(TREE, TERMS, 16)) == len(trees)


def test_files_hold_arms_alone(tmp_path, arms):
    with pytest.raises(ConfigError, match="at least one arm of width 1 or less"):
        read_arms(arms[1], TERMS, 1)
    file = tmp_path / "more.toml"
    file.write_text('task = ["products"]\n' + FLAT_ARMS)
    with pytest.raises(ConfigError, match="task"):
        read_arms(file, TERMS, 4)
    file.write_text(FLAT_ARMS + "max_tokens = 3\n")
    with pytest.raises(ConfigError, match="verified4"):
        read_arms(file, TERMS, 4)
