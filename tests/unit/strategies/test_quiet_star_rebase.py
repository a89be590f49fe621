"""The union of thoughts and search: where it thinks, what it pays, and when it does not search at all."""

import dataclasses
from collections import Counter

import pytest
from test_searches import REQUEST, STEPS, ByText, run

from poise import prompts
from poise.core import ROOT, Ability, Draft, Finish, Kind, Sampling, Score, Step, ThinkingMode
from poise.engines.scripted import Script, Scripted
from poise.errors import AbilityMissing, ConfigError
from poise.run import solve
from poise.seams import Plan
from poise.strategies.quiet_star_rebase import Modes, QuietStarRebase, When, disagree
from poise.strategies.rebase import Rebase
from poise.testing import virtual
from poise.trace import Drawn, Launched

EVEN = Script((("7", 0.5), ("8", 0.5)), (20, 60), steps=5)
UNION = QuietStarRebase(width=8, drafts=0)


class Heard(Scripted):
    """Remembers how each draw was asked to think."""

    def __init__(self, script):
        super().__init__(lambda _: script)
        self.ways = []

    def stream(self, prompt, sampling, n=1):
        self.ways += [sampling.thinking and sampling.thinking.mode] * n
        return super().stream(prompt, sampling, n)


def heard(strategy, script=EVEN, scorer=None, seed=3):
    scorer = scorer or ByText()
    engine = Heard(script)
    plan = Plan(strategy, (("main", "scripted"),), scorer.name)
    answer = virtual(solve(REQUEST, plan, {"scripted": engine}, {scorer.name: scorer}, seed=seed))
    return answer, Counter(engine.ways)


def test_without_thoughts_and_drafts_it_is_rebase():
    plain, union = run(Rebase(width=8)), run(dataclasses.replace(UNION, when=When.NEVER))
    assert union.usage == plain.usage
    assert (union.text, union.confidence) == (plain.text, plain.confidence)


def line(id, text, parent=0):
    return Step(id, parent, Draft(text, Finish.DELIMITER, 5))


@pytest.mark.parametrize(("score", "thinks"), [(0.95, False), (0.05, False), (0.5, True), (0.2, True), (0.8, True)])
def test_it_thinks_where_the_score_is_in_the_middle(score, thinks):
    found = Modes()
    found.add([line(1, "so 3\n")], [Score(score)])
    assert UNION._thinks(found.steps[1], found) is thinks
    assert not dataclasses.replace(UNION, auroc=0.5)._thinks(found.steps[1], found)


def test_a_score_that_failed_says_nothing():
    found = Modes()
    found.add([line(1, "so 3\n")], [Score(0.0, failure="gone")])
    assert not dataclasses.replace(UNION, low=0.0)._thinks(found.steps[1], found)


def test_it_thinks_below_siblings_that_do_not_agree():
    found = Modes()
    found.add([line(1, "so 3\n"), line(2, "so 4\n"), line(3, "so 3.\n", 1)], [Score(0.99)] * 3)
    assert [UNION._thinks(found.steps[id], found) for id in (1, 2, 3)] == [True, True, False]
    assert not UNION._thinks(ROOT, found)


def test_its_first_steps_think_where_drafts_left_the_question_open():
    drafted = dataclasses.replace(UNION, drafts=4, agree=1.0, width=8)
    for when, first in ((When.UNSURE, int(8 // UNION.price)), (When.NEVER, 8)):
        answer, ways = heard(dataclasses.replace(drafted, when=when), EVEN, ByText(lambda text: 0.99), seed=5)
        assert sum(event.parent == 0 for event in answer.trace.of(Launched)) == 4 + first
        assert (ways[ThinkingMode.GATED] > 0) is (when is When.UNSURE)


def test_thoughts_are_billed():
    answer, ways = heard(UNION)
    assert ways[ThinkingMode.GATED] > 0
    assert answer.usage.thought_tokens > 0


@pytest.mark.parametrize(
    ("texts", "apart"),
    [
        ([], False),
        (["1"], False),
        (["a 1", "b 1"], False),
        (["1", "2"], True),
        (["1", "1", "2"], False),
        (["so 1,000", "1000"], False),
        (["no", "none"], False),
        (["1", "2", "3", "3"], True),
    ],
)
def test_steps_agree_by_their_last_numbers(texts, apart):
    assert disagree(texts) is apart


@pytest.mark.parametrize("when", When)
@pytest.mark.parametrize("share", [0.15, 1.0])
def test_no_depth_costs_more_than_its_width(when, share):
    strategy = dataclasses.replace(UNION, when=when, thought_share=share, width=12)
    costs, modes = Counter(), set()
    for seed in range(8):
        answer, _ = heard(strategy, EVEN, seed=seed)
        for event in answer.trace.of(Drawn):
            if not event.step.suffix:
                thinks = event.usage.thought_tokens > 0
                costs[seed, len(answer.trace.path(event.step.id))] += strategy.price if thinks else 1.0
                modes.add(thinks)
    assert max(costs.values()) <= 12 + 1e-9
    assert max(costs.values()) > 12 - strategy.price  # what is left buys no other step
    assert modes == {When.NEVER: {False}, When.ALWAYS: {True}, When.UNSURE: {False, True}}[when]


@pytest.mark.parametrize("when", When)
def test_survivors_are_closed_by_the_forced_answer(when):
    """Paths that use up their tokens, fast ones and those that thought, are made to answer, each once, and vote."""
    request = dataclasses.replace(REQUEST, sampling=Sampling(max_tokens=30))
    answer = run(dataclasses.replace(UNION, when=when), dataclasses.replace(EVEN, tokens=(100, 120)), request=request)
    steps = answer.trace.steps
    full = [s.id for s in steps.values() if sum(p.draft.tokens for p in answer.trace.path(s.id)) == 30 and not s.suffix]
    closed = [step for step in steps.values() if step.suffix]
    assert sorted(step.parent for step in closed) == sorted(full)
    assert full
    assert {step.suffix.strip() for step in closed} == {prompts.closing(request).strip()}
    assert all(step.value for step in closed)
    assert answer.value.text in {step.value.text for step in closed}


def test_drafts_that_agree_are_the_answer():
    answer, ways = heard(dataclasses.replace(UNION, drafts=4), Script((("7", 1.0),), (20, 40), steps=3))
    assert answer.usage.calls == 4
    assert set(ways) == {ThinkingMode.OFF}
    assert (answer.value.text, answer.confidence) == ("7", 1.0)
    assert answer.usage.scorer_tokens == 0


def test_drafts_may_think():
    """Two drafts that thought agree, and there is no search; two fast ones do not."""
    script = Script((("7", 0.5), ("8", 0.5)), (20, 40), steps=3, thoughtful=(("9", 1.0),))
    strategy = dataclasses.replace(UNION, drafts=2, agree=1.0, thought_share=1.0)
    answer, ways = heard(dataclasses.replace(strategy, drafts_think=True), script, seed=5)
    assert (answer.value.text, ways) == ("9", {ThinkingMode.EXACT: 2})
    _, ways = heard(strategy, script, seed=5)
    assert ways[ThinkingMode.OFF] == 2
    assert ways[ThinkingMode.EXACT] > 0


def test_drafts_that_are_cut_are_closed_and_may_agree():
    """Each once; an answer that stands behind its mark before the cut is left as it is."""
    request = dataclasses.replace(REQUEST, sampling=Sampling(max_tokens=30))
    strategy = dataclasses.replace(UNION, drafts=4, agree=0.5)
    answer = run(strategy, Script((("7", 1.0),), (100, 120), steps=3), request=request)
    drafts = [event.step for event in answer.trace.of(Drawn) if not event.step.suffix]
    assert [step.draft.finish for step in drafts] == [Finish.LENGTH] * 4
    closed = [event.step for event in answer.trace.of(Drawn) if event.step.suffix]
    assert sorted(step.parent for step in closed) == [step.id for step in drafts]
    assert (answer.value.text, answer.usage.calls, answer.confidence) == ("7", 8, 1.0)
    marked = run(strategy, Script((("7", 1.0),), (20, 30), steps=1), request=request)
    assert not any(event.step.suffix for event in marked.trace.of(Drawn))


@pytest.mark.parametrize(("score", "drawn"), [(0.95, 1), (0.9, 1), (0.89, 3)])
def test_a_draft_that_scores_high_enough_is_the_answer(score, drawn):
    """Else drafts come one by one, until they are all there and do not agree."""
    strategy = dataclasses.replace(UNION, drafts=3, agree=1.0, sure=0.9)
    answer, ways = heard(strategy, EVEN, ByText(lambda text: score), seed=5)
    assert (answer.usage.calls == drawn) is (score >= 0.9)
    assert ways[ThinkingMode.OFF] >= drawn
    assert heard(dataclasses.replace(strategy, auroc=0.5), EVEN, ByText(lambda text: score))[0].usage.calls != 1


def test_drafts_that_do_not_agree_vote_with_the_leaves():
    answer, _ = heard(dataclasses.replace(UNION, drafts=4, agree=1.0), EVEN, seed=5)
    assert answer.usage.calls > 4
    whole = [event.step for event in answer.trace.of(Drawn) if event.step.draft.finish is Finish.EOS]
    assert sum(step.parent == 0 for step in whole) == 4
    assert sum(event.step.value is not None for event in answer.trace.of(Drawn)) > 4


def test_a_scorer_that_cannot_tell_neither_shares_nor_votes():
    """Scores that say 8 is right: an untrusted scorer does not sway the vote, nor where children go."""
    lying = ByText(lambda text: 0.99 if text.rstrip().endswith("8.") else 0.01)
    mostly = Script((("7", 0.8), ("8", 0.2)), (20, 60), steps=5)
    trusted, _ = heard(dataclasses.replace(UNION, width=16), mostly, lying)
    without, _ = heard(dataclasses.replace(UNION, width=16, auroc=0.55), mostly, lying)
    assert (trusted.value.text, without.value.text) == ("8", "7")


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("thought_share", 0.0),
        ("thought_share", 1.5),
        ("agree", 0.0),
        ("sure", 0.0),
        ("low", 0.9),
        ("passes", 0),
        ("drafts", -1),
        ("auroc", 1.1),
    ],
)
def test_knobs_that_cannot_work_are_refused(knob, value):
    with pytest.raises(ConfigError, match=knob):
        dataclasses.replace(UNION, **{knob: value})


def test_an_engine_without_thoughts_is_refused():
    engine = Scripted(lambda _: STEPS)
    engine.can -= {Ability.THOUGHTS}
    plan = Plan(UNION, (("main", "scripted"),), "by_text")
    with pytest.raises(AbilityMissing, match="think at every token"):
        virtual(solve(REQUEST, plan, {"scripted": engine}, {"by_text": ByText()}))


def test_thinking_pays_where_thoughts_know_better():
    """Drafts that disagree, and thoughts that know: the union finds what REBASE does not."""
    script = dataclasses.replace(EVEN, answers=(("7", 0.3), ("8", 0.7)), thoughtful=(("7", 0.95), ("8", 0.05)))
    middling = ByText(lambda text: 0.5)
    found = [heard(dataclasses.replace(UNION, when=when), script, middling)[0].value.text for when in When]
    assert REQUEST.kind is Kind.NUMBER
    assert found[0] == "8"
    assert found[1:] == ["7", "7"]
