"""The study of thoughts and search on a scripted engine: arms, flaws, pages, and going on."""

import asyncio
import contextlib
import dataclasses
import json

import pytest

from poise.config import EngineSpec
from poise.connect import connect
from poise.core import Ability, Kind, Request, Sampling, Thinking, ThinkingMode
from poise.engines.scripted import Script, Scripted
from poise.errors import AbilityMissing, ConfigError
from poise.evals.rows import Interval, Quantiles
from poise.run import solve
from poise.scoring.logprob import MeanLogprob
from poise.seams import Plan
from poise.strategies.quiet_star_rebase import QuietStarRebase
from poise.strategies.self_consistency import SelfConsistency
from poise.study.flaws import Flaw, PublishedUnion, last_integer
from poise.study.reasoning import Part, ReasoningDir, ReasoningSettings, reasoning
from poise.study.reasoning_arms import (
    ABLATIONS,
    BENEATH,
    COMPARISONS,
    PROMISES,
    Design,
    ablation_arms,
    main_arms,
)
from poise.study.reasoning_page import lines, tables
from poise.testing import virtual
from poise.trace import Drawn, Launched

DESIGN = Design(scorer="mean_logprob")
SCORERS = {"mean_logprob": MeanLogprob()}
STEPS = Script((("7", 0.5), ("8", 0.5)), (30, 60), steps=4, thoughtful=(("7", 0.9), ("8", 0.1)))
REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER, Sampling(max_tokens=200))


def answered(arm, script=STEPS, seed=3, request=REQUEST):
    engine = Scripted(lambda _: script)
    request = dataclasses.replace(request, sampling=arm.sampling)
    engines = {"main": engine, BENEATH: engine}
    return virtual(solve(request, arm.plan, engines, SCORERS, seed=seed))


@pytest.mark.parametrize("arm", [*main_arms(DESIGN, beneath=True), *ablation_arms(DESIGN)], ids=lambda arm: arm.name)
def test_every_arm_answers_and_thinks_as_it_is_named(arm):
    answer = answered(arm)
    assert (answer.value is not None) or arm.name == "flaw_leaf"
    thinks = arm.sampling.thinking.mode is not ThinkingMode.OFF
    if arm.plan.strategy.name in ("self_consistency", "rebase", "adaptive_consistency"):
        assert (answer.usage.thought_tokens > 0) is thinks


def test_every_comparison_names_arms():
    for pairs, arms in ((COMPARISONS, main_arms(DESIGN)), (ABLATIONS, ablation_arms(DESIGN))):
        names = [arm.name for arm in arms]
        assert len(set(names)) == len(names)
        assert {name for pair in pairs for name in pair} <= set(names)
    assert set(PROMISES) <= set(COMPARISONS)


def test_the_union_pays_for_its_drafts_out_of_its_half():
    thoughtful = QuietStarRebase(drafts=2, drafts_think=True, agree=1.0, thought_share=1.0)
    for union, widths in ((thoughtful, (8, 32)), (QuietStarRebase(), (20, 44))):
        arms = {arm.name: arm.plan.strategy for arm in main_arms(dataclasses.replace(DESIGN, passes=7, union=union))}
        assert (arms["union"].width, arms["union_equal"].width) == widths
        assert arms["combined"].width == arms["rebase_equal"].width == 48
        assert arms["adaptive_equal"].n == 48


def flawed(*flaws, **knobs):
    strategy = PublishedUnion(**{"width": 6, "passes": 1, "drafts": 0, "flaws": flaws} | knobs)
    plan = Plan(strategy, (("main", "main"),), "mean_logprob")
    return virtual(solve(REQUEST, plan, {"main": Scripted(lambda _: STEPS)}, SCORERS, seed=3))


def depth(answer):
    found = {0: 0}
    for event in answer.trace.of(Launched):
        found[event.id] = found[event.parent] + 1
    return max(found.values())


def test_without_flaws_it_is_the_union():
    arm = next(arm for arm in ablation_arms(DESIGN) if arm.name == "combined_whole")
    flawless = PublishedUnion(
        **{f.name: getattr(arm.plan.strategy, f.name) for f in dataclasses.fields(arm.plan.strategy)}
    )
    other = answered(dataclasses.replace(arm, plan=dataclasses.replace(arm.plan, strategy=flawless)))
    whole = answered(arm)
    assert (other.text, other.usage, other.confidence) == (whole.text, whole.usage, whole.confidence)


def test_the_leaf_rule_ends_every_path_at_once():
    assert depth(flawed(Flaw.LEAF)) == 1
    assert depth(flawed()) > 3


def test_cut_steps_end_at_96_tokens_and_not_at_lines():
    steps = [event.step for event in flawed(Flaw.CUT).trace.of(Drawn) if not event.step.suffix]
    assert any("\n" in step.text.rstrip() for step in steps)
    assert max(step.draft.tokens for step in steps) <= 96


def test_the_last_whole_number_is_taken_for_the_answer():
    assert last_integer("so 12 and -3 left").text == "-3"
    assert last_integer("none") is None
    told = flawed(Flaw.LEAF, Flaw.LAST_INTEGER)
    assert told.value.text not in ("7", "8")  # a number of some first line


def test_the_best_score_alone_decides():
    answer = flawed(Flaw.ARGMAX)
    scores = {event.step: event.score.value for event in answer.trace.events if type(event).__name__ == "Scored"}
    leaves = [step for step in answer.trace.steps.values() if step.value is not None and step.id in scores]
    assert scores[answer.trace.events[-1].step] == pytest.approx(max(scores[step.id] for step in leaves))


@contextlib.contextmanager
def phase(title):
    yield lambda progress: None


@pytest.fixture
def sums(tmp_path):
    path = tmp_path / "sums.jsonl"
    rows = ({"question": f"What is {k} + {k + 1}?", "answer": str(2 * k + 1)} for k in range(6))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def study(settings, folder, engine=None):
    engine = engine or Scripted(name="main")
    engines = {"main": engine, BENEATH: Scripted(name=BENEATH)}
    return asyncio.run(reasoning(settings, engines, SCORERS, ReasoningDir(folder), phase))


def test_the_whole_study_writes_its_pages_and_costs_nothing_twice(sums, tmp_path):
    settings = ReasoningSettings(Part(DESIGN, (sums,), 6), Part(DESIGN, (sums,), 3), seed=1, beneath=True, timed=2)
    found = study(settings, tmp_path / "study")
    assert len(found.main.rows) == 6 * len(main_arms(DESIGN, beneath=True))
    assert len(found.timed.rows) == 2 * len(main_arms(DESIGN, beneath=True))
    assert len(found.ablation.rows) == 3 * len(ablation_arms(DESIGN))
    assert {arm.seconds for arm in found.idle().arms} == {arm.seconds for arm in found.timed.summary.arms}
    assert [arm.accuracy for arm in found.idle().arms] == [arm.accuracy for arm in found.main.summary.arms]
    thoughts = {line.arm.arm: line.thoughts for line in lines(found.main)}
    assert thoughts["quiet_star"] == pytest.approx(7.0, abs=0.1)
    assert thoughts["baseline"] == 0
    text = (tmp_path / "study" / "study.md").read_text()
    assert "Quiet-STaR, 8 ahead" in text
    assert "quiet_star against baseline" in text
    assert "flaw_argmax" in text
    assert text.count("by 5.0 points, the margin stated beforehand") == len(PROMISES)
    page = (tmp_path / "study" / "study.html").read_text()
    for figure in ("compute", "runtime", "efficiency"):
        assert f'data-figure="{figure}"' in page
    assert [title.split()[0] for title, *_ in tables(found)] == ["Here", "As", "Ablations", "Scores"]
    assert all(len(row) == len(headings) for _, headings, rows in tables(found) for row in rows)
    assert found.ablation.summary.replayed
    idle = Scripted(name="main")
    study(settings, tmp_path / "study", idle)
    assert idle.generated == 0
    with pytest.raises(ConfigError, match="seed"):
        study(dataclasses.replace(settings, seed=2), tmp_path / "study")


def test_the_published_score_and_what_was_charged_by_hand(sums, tmp_path):
    settings = ReasoningSettings(Part(DESIGN, (sums,), 2), Part(DESIGN, (sums,), 1), seed=1, beneath=True, timed=1)
    found = study(settings, tmp_path / "study")
    arm = dataclasses.replace(
        found.main.summary.arms[0], flops=Interval(2e12, 2e12, 2e12), seconds=Quantiles(5.0, 4.0, 9.0, 9.0)
    )
    summary = dataclasses.replace(found.main.summary, arms=(arm,))
    environment = {"engines": {"main": {"parameters": 1000}, BENEATH: {"parameters": None}}}
    [line] = lines(dataclasses.replace(found.main, environment=environment), summary)
    assert line.efficiency(0.5) == pytest.approx(100 * 50**2 / (2 * 5))
    tokens = [row.usage.new_tokens for row in found.main.by_arm()[arm.arm]]
    assert line.charged == pytest.approx(2 * 1000 * sum(tokens) / len(tokens))
    [unknown] = lines(dataclasses.replace(found.main, environment={}), summary)
    assert unknown.charged == 0


def unthinking():
    engine = Scripted(lambda _: STEPS)
    engine.can -= {Ability.THOUGHTS}
    return engine


def test_an_engine_that_cannot_think_is_not_asked_to():
    plan = Plan(SelfConsistency(n=2), (("main", "main"),))
    request = dataclasses.replace(REQUEST, sampling=Sampling(thinking=Thinking(ThinkingMode.EXACT)))
    with pytest.raises(AbilityMissing, match="think"):
        virtual(solve(request, plan, {"main": unthinking()}, {}, seed=3))
    calm = dataclasses.replace(request, sampling=Sampling(thinking=Thinking(ThinkingMode.OFF)))
    assert virtual(solve(calm, plan, {"main": unthinking()}, {}, seed=3)).text
    with pytest.raises(ConfigError, match=r"engine\.thinking"):
        connect(EngineSpec("llamacpp", "default", thinking="exact"))
