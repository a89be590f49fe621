"""Strategies: the laws, the golden traces, and what each does in particular."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from poise import answers, registry
from poise.core import Draft, Finish, Kind, Request, Sampling, Score, Step, Stopped
from poise.engines.scripted import Script, Scripted
from poise.errors import ConfigError
from poise.run import solve
from poise.scoring.agreement import Agreement
from poise.scoring.logprob import MeanLogprob
from poise.seams import Plan
from poise.strategies.adaptive_consistency import AdaptiveConsistency, StopRule
from poise.strategies.best_of_n import BestOfN
from poise.strategies.cascade import Cascade
from poise.strategies.direct import Direct
from poise.strategies.first_finish import FirstFinish
from poise.strategies.self_consistency import SelfConsistency
from poise.strategies.token_budget import TokenBudget
from poise.strategies.weighted_vote import WeightedVote
from poise.testing import check_strategy, registered_strategies, virtual
from poise.trace import Drawn, Forked, Launched, Picked, Scored

GOLDEN = Path(__file__).parent / "golden.json"
REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER, Sampling(max_tokens=64))
MIXED = Script((("7", 0.55), ("8", 0.3), ("12", 0.15)), (5, 40), first_byte_seconds=0.05, seconds_per_token=0.01)


def run(strategy, script=MIXED, scorer=None, seed=5):
    scorers = {scorer.name: scorer} if scorer else {}
    plan = Plan(strategy, (("main", "scripted"),), scorer.name if scorer else None)
    engine = Scripted(lambda _: script, per_delta=4)
    return virtual(solve(REQUEST, plan, {"scripted": engine}, scorers, seed=seed))


@pytest.mark.parametrize("strategy", registered_strategies(), ids=lambda strategy: strategy.name)
def test_the_laws(strategy):
    check_strategy(strategy, MeanLogprob() if strategy.scored else None)


def told(answer):
    """A trace in words: enough to see every launch, end, score and choice, and when it happened."""
    words = []
    for event in answer.trace.events:
        if isinstance(event, Launched):
            words.append(f"{event.at:.2f} launch {event.id} under {event.parent}, {event.max_tokens} tokens")
        elif isinstance(event, Drawn):
            step = event.step
            value = step.value.text if step.value else None
            words.append(
                f"{event.at:.2f} drawn {step.id} {step.draft.finish.value} {step.draft.tokens} tokens -> {value}"
            )
        elif isinstance(event, Scored):
            words.append(f"{event.at:.2f} scored {event.step} {event.score.value:.3f}")
        elif isinstance(event, Forked):
            words.append(f"{event.at:.2f} fork {event.strategy} -> {event.pick}")
        elif isinstance(event, Picked):
            sure = event.confidence and round(event.confidence, 3)
            words.append(f"{event.at:.2f} picked {event.step} {event.stopped.value} {sure}")
    return words


@pytest.mark.parametrize("strategy", registered_strategies(), ids=lambda strategy: strategy.name)
def test_golden_trace(strategy):
    """The whole trace under seed 5; a deliberate change of it is a change of the golden file, to be read in review."""
    assert told(traced(strategy)) == json.loads(GOLDEN.read_text())[strategy.name]


def traced(strategy):
    """The run of the golden trace; searches over steps are narrow, so that theirs can be read."""
    scorer = MeanLogprob() if strategy.scored else None
    if hasattr(strategy, "width"):
        narrow = {"width": 4, "expand": 2} if hasattr(strategy, "expand") else {"width": 4}
        return run(replace(strategy, **narrow), replace(MIXED, steps=3), scorer)
    return run(strategy, scorer=scorer)


def step(id, value, finish=Finish.EOS):
    text = f"The answer is {value}."
    return Step(id, 0, Draft(text, finish, 5), answers.extract(text, Kind.NUMBER) if value else None)


def test_a_vote_counts_equivalent_answers_and_skips_the_unparsable():
    steps = [step(1, None), step(2, "0.5"), step(3, "3"), step(4, "1/2"), step(5, None)]
    pick = SelfConsistency(5).pick(REQUEST, steps, {})
    assert (pick.step.id, pick.votes) == (2, 3)
    assert pick.confidence == pytest.approx(2 / 5)  # a draft without a value lowers it


def test_ties_go_to_the_first_seen():
    assert SelfConsistency(4).pick(REQUEST, [step(1, "3"), step(2, "4"), step(3, "4"), step(4, "3")], {}).step.id == 1


def test_no_value_at_all_still_answers_without_confidence():
    pick = SelfConsistency(2).pick(REQUEST, [step(1, None), step(2, None)], {})
    assert (pick.step.id, pick.confidence, pick.votes) == (1, None, 0)


def test_best_of_n_prefers_values_then_scores():
    steps = [step(1, None), step(2, "3"), step(3, "4")]
    scores = {1: Score(0.9), 2: Score(0.2), 3: Score(0.4)}
    assert BestOfN(3).pick(REQUEST, steps, scores).step.id == 3


def test_weighted_vote_sums_scores_by_class():
    steps = [step(1, "3"), step(2, "4"), step(3, "4")]
    pick = WeightedVote(3).pick(REQUEST, steps, {1: Score(0.9), 2: Score(0.2), 3: Score(0.3)})
    assert (pick.step.id, pick.confidence) == (1, pytest.approx(0.9 / 1.4))
    assert WeightedVote(3).pick(REQUEST, steps, {}).step.id == 2


def test_margin_stops_after_two_that_agree():
    answer = run(AdaptiveConsistency(n=10, k=2, slack=0), replace(MIXED, answers=(("7", 1.0),)))
    assert (answer.usage.calls, answer.stopped) == (2, Stopped.AGREED)


def test_beta_needs_more_than_margin():
    sure = replace(MIXED, answers=(("7", 1.0),))
    answer = run(AdaptiveConsistency(n=10, rule=StopRule.BETA, slack=0), sure)
    assert (answer.usage.calls, answer.stopped) == (4, Stopped.AGREED)


def test_decided_stops_when_nobody_can_catch_up():
    sure = replace(MIXED, answers=(("7", 1.0),))
    assert run(AdaptiveConsistency(n=9, rule=StopRule.DECIDED, slack=0), sure).usage.calls == 5


def test_slack_trades_tokens_for_time():
    def spent(slack):
        usages = [run(AdaptiveConsistency(n=10, slack=slack), seed=seed).usage for seed in range(20)]
        return sum(u.new_tokens + u.overrun_tokens for u in usages), sum(u.seconds for u in usages)

    (few, slow), (many, quick) = spent(0), spent(4)
    assert many > few
    assert quick < slow


def test_never_more_than_n_even_without_agreement():
    answer = run(AdaptiveConsistency(n=6), replace(MIXED, answers=tuple((str(k), 1.0) for k in range(50))))
    assert answer.usage.calls <= 6


def test_first_finish_votes_among_the_quickest():
    answer = run(FirstFinish(k=8, m=3))
    finished = [event.step.id for event in answer.trace.of(Drawn) if event.step.finished]
    closed = [event.step.id for event in answer.trace.of(Drawn) if not event.step.finished]
    assert len(finished) >= 3
    assert len(closed) == 8 - len(finished)


def test_cascades_over_engines():
    small, large = (
        Scripted(lambda _: replace(MIXED, answers=(("7", 0.5), ("8", 0.5))), "small"),
        Scripted(lambda _: replace(MIXED, answers=(("7", 1.0),)), "large"),
    )
    cascade = Cascade((SelfConsistency(3), SelfConsistency(2)), accept=1.0, roles=("main", "second"))
    plan = Plan(cascade, (("main", "small"), ("second", "large")))
    answer = virtual(solve(REQUEST, plan, {"small": small, "large": large}, seed=2))
    engines = [event.engine for event in answer.trace.of(Launched)]
    assert engines == ["small"] * 3 + ["large"] * 2
    assert answer.value.text == "7"


@pytest.mark.parametrize(
    "make",
    [
        lambda: SelfConsistency(0),
        lambda: SelfConsistency(10**9),
        lambda: AdaptiveConsistency(k=0),
        lambda: AdaptiveConsistency(bar=0.4),
        lambda: AdaptiveConsistency(slack=-1),
        lambda: FirstFinish(k=2, m=3),
        lambda: BestOfN(-1),
        lambda: TokenBudget(n=0),
        lambda: Cascade(()),
        lambda: Cascade(accept=0),
        lambda: Cascade((Direct(),), roles=("a", "b")),
    ],
)
def test_absurd_knobs_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_the_agreement_scorer_makes_best_of_n_a_vote():
    answer = run(BestOfN(6), scorer=Agreement())
    assert answer.value.text == run(SelfConsistency(6)).value.text


def test_every_name_is_the_class_own_name():
    assert all(registry.strategy_class(name).name == name for name in registry.names("strategies"))


def test_a_name_with_two_meanings_is_refused():
    with pytest.raises(ConfigError, match="chain_of_density"):
        registry.strategy_class("cod")
