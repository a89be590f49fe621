"""Searches over steps: what the papers say of the tree, and what happens when engine or scorer fail."""

import dataclasses
import random
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pytest

from poise import prompts
from poise.core import Ability, Delta, Draft, Finish, Goal, Kind, Request, Role, Sampling, Score, Step, Stopped
from poise.costs import Budget, Usage
from poise.engines.scripted import Script, Scripted
from poise.errors import AbilityMissing, ConfigError, ScorerError
from poise.run import solve
from poise.scoring.logprob import MeanLogprob
from poise.seams import Plan, Stream
from poise.strategies.beam import Beam
from poise.strategies.best_of_n import BestOfN
from poise.strategies.by_depth import ByDepth
from poise.strategies.dvts import Dvts
from poise.strategies.mcts import Mcts
from poise.strategies.particle_filter import ParticleFilter
from poise.strategies.quiet_star_rebase import QuietStarRebase
from poise.strategies.rebase import Allocation, Rebase
from poise.strategies.rebase_adaptive import RebaseAdaptive
from poise.strategies.rebase_free import RebaseFree
from poise.strategies.stepwise import Choice, StepEnd, is_answer
from poise.testing import timeless, virtual
from poise.trace import Drawn, Failed, Launched, Scored


@dataclass(frozen=True, slots=True)
class Undrafted(QuietStarRebase):
    """The union without drafts, which would often be the answer before any search."""

    name: ClassVar[str] = "undrafted"
    drafts: int = 0


ALL = (Beam, Dvts, Rebase, RebaseAdaptive, RebaseFree, ParticleFilter, Mcts, Undrafted)
REQUEST = Request.ask("What is 3 + 4? Answer: 99. #### 98", Kind.NUMBER, Sampling(max_tokens=200))
STEPS = Script((("7", 0.6), ("8", 0.4)), (20, 60), steps=5, first_byte_seconds=0.05, seconds_per_token=0.01)


class ByText:
    """Scores a path by a law of its text, or breaks as told."""

    name, needs, top_logprobs = "by_text", frozenset(), None

    def __init__(self, law=None):
        self.law = law or (lambda text: random.Random(text).random())
        self.batches = []

    async def score(self, request, paths):
        self.batches.append(len(paths))
        return [Score(self.law("".join(step.text for step in path))) for path in paths]


def run(strategy, script=STEPS, scorer=None, seed=3, budget=Budget(), slots=0, request=REQUEST):
    scorer = scorer or ByText()
    engine = Scripted(lambda _: script, per_delta=4, slots=slots)
    plan = Plan(strategy, (("main", "scripted"),), scorer.name)
    request = dataclasses.replace(request, goal=Goal(budget))
    answer = virtual(solve(request, plan, {"scripted": engine}, {scorer.name: scorer}, seed=seed))
    billed = answer.usage.new_tokens + answer.usage.overrun_tokens
    assert billed == engine.generated
    return answer


def children(answer):
    """Draws per parent, those that force an answer left out."""
    forced = {event.step.id for event in answer.trace.of(Drawn) if event.step.suffix}
    return Counter(event.parent for event in answer.trace.of(Launched) if event.id not in forced)


def depth_of(answer, step):
    return len(answer.trace.path(step))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_every_path_is_whole_and_scored(kind):
    answer = run(kind(width=8))
    steps = answer.trace.steps
    scored = {event.step for event in answer.trace.of(Scored)}
    assert scored == set(steps)
    leaf = answer.trace.path(answer.trace.events[-1].step)
    assert len(leaf) == 5
    assert answer.text == "".join(step.text for step in leaf)
    assert all(step.text.endswith("\n") for step in leaf[:-1])
    assert answer.value.text in ("7", "8")


def test_rebase_buys_what_is_left_of_its_width_at_each_depth():
    answer = run(Rebase(width=16))
    for depth in range(5):
        bought = sum(count for parent, count in children(answer).items() if depth_of(answer, parent) == depth)
        assert bought == 16  # all paths of this script are five steps long


def test_rebase_leaves_reduce_the_width():
    script = dataclasses.replace(STEPS, tokens=(5, 60))  # short ones end early
    answer = run(Rebase(width=16), script)
    for depth in range(1, 5):
        nodes = [s for s in answer.trace.steps.values() if depth_of(answer, s.id) == depth]
        ended = sum(is_answer(step) for step in nodes)
        bought = sum(children(answer)[step.id] for step in nodes)
        assert bought == (len(nodes) - ended if ended < len(nodes) else 0)


def test_rebase_prefers_the_better_scored():
    answer = run(Rebase(width=16, balance=0.1))
    for depth in range(1, 5):
        nodes = [s.id for s in answer.trace.steps.values() if depth_of(answer, s.id) == depth]
        values = {event.step: event.score.value for event in answer.trace.of(Scored)}
        ranked = sorted(nodes, key=values.get)
        counts = [children(answer)[node] for node in ranked]
        assert counts == sorted(counts)


@pytest.mark.parametrize("share", Allocation)
def test_every_allocation_spends_the_width(share):
    assert sum(children(run(Rebase(width=8, share=share))).values()) == 8 * 5


@pytest.mark.parametrize("kind", [*ALL, QuietStarRebase], ids=lambda kind: kind.name)
@pytest.mark.parametrize("slots", [0, 8])
def test_same_seed_same_tree(kind, slots):
    first, second = (run(kind(width=8), slots=slots) for _ in range(2))
    assert timeless(first.trace) == timeless(second.trace)
    other = run(kind(width=8), slots=slots, seed=4)
    assert timeless(first.trace) != timeless(other.trace)


def test_the_questions_text_never_makes_a_leaf():
    empty = Step(1, 0, Draft("\n", Finish.DELIMITER, 1))
    assert not is_answer(empty)
    answer = run(Rebase(width=4))  # the question holds "Answer: 99" and "#### 98"
    assert answer.value.text in ("7", "8")
    assert all(depth_of(answer, s.id) == 5 for s in answer.trace.steps.values() if is_answer(s))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_the_cap_accumulates_along_the_path_and_survivors_are_closed(kind):
    request = dataclasses.replace(REQUEST, sampling=Sampling(max_tokens=30))
    script = dataclasses.replace(STEPS, tokens=(100, 120), steps=8)
    answer = run(kind(width=4), script, request=request)
    suffix = prompts.closing(request)
    closed = [step for step in answer.trace.steps.values() if step.suffix]
    assert closed
    assert all(step.suffix.strip() == suffix.strip() and step.value for step in closed)
    for step in answer.trace.steps.values():
        path = [part for part in answer.trace.path(step.id) if not part.suffix]
        assert sum(part.draft.tokens for part in path) <= 30
    open_ends = [s for s in answer.trace.steps.values() if not s.suffix and not is_answer(s)]
    parents = {s.parent for s in answer.trace.steps.values()}
    full = [s for s in open_ends if sum(p.draft.tokens for p in answer.trace.path(s.id)) >= 30]
    chosen = [s for s in full if s.id in parents]
    if kind is Dvts:  # of each subtree the best alone
        assert len(chosen) == 1
    else:
        assert chosen == full


def test_a_depth_cap_closes_too():
    answer = run(Rebase(width=4, depth=2))
    assert max(depth_of(answer, step) for step in answer.trace.steps) == 3
    assert sum(bool(step.suffix) for step in answer.trace.steps.values()) == 4


def test_a_delimiter_that_never_comes():
    script = dataclasses.replace(STEPS, steps=1, tokens=(90, 120))
    answer = run(
        Rebase(width=4, step_tokens=10), script, request=dataclasses.replace(REQUEST, sampling=Sampling(max_tokens=40))
    )
    assert answer.value is not None
    assert max(depth_of(answer, step) for step in answer.trace.steps) == 5  # four full steps and the forced answer


def test_other_step_ends():
    assert StepEnd.PARAGRAPH.delimiter == "\n\n"
    answer = run(Rebase(width=4, step_end=StepEnd.PARAGRAPH))
    assert all(depth_of(answer, step) == 1 for step in answer.trace.steps)  # the script has no blank lines


@pytest.mark.parametrize("kind", [*ALL, QuietStarRebase], ids=lambda kind: kind.name)
def test_the_search_goes_on_when_a_fifth_of_the_draws_fail(kind):
    answers = [run(kind(width=8), dataclasses.replace(STEPS, failure=0.2), seed=seed) for seed in range(5)]
    assert all(answer.value for answer in answers)
    failed = sum(1 for answer in answers for _ in answer.trace.of(Failed))
    assert failed > 5


class Flaky(Scripted):
    """Draws of steps fail, draws that force an answer do not."""

    def __init__(self, failure):
        super().__init__(lambda _: dataclasses.replace(STEPS, failure=failure), "scripted")
        self.sound = Scripted(lambda _: STEPS, "sound")

    def stream(self, prompt, sampling, n=1):
        return (self.sound if sampling.temperature == 0 else super()).stream(prompt, sampling, n)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("expand", [1, 4])
def test_no_survivor_is_lost_where_its_draws_fail(kind, expand):
    """A path whose next steps all failed is gone on from again, or closed, so that it votes; only REBASE without
    barriers and UCT let first steps that failed be."""
    strategy = kind(width=4, **({"expand": expand} if hasattr(kind, "expand") else {}))
    leaves, lost = [], 0
    for seed in range(16):
        scorer, engine = ByText(lambda text: 0.5), Flaky(0.35)
        plan = Plan(strategy, (("main", "scripted"),), scorer.name)
        answer = virtual(solve(REQUEST, plan, {"scripted": engine}, {scorer.name: scorer}, seed=seed))
        steps = answer.trace.steps
        parents = {step.parent for step in steps.values()}
        tried = {event.parent for event in answer.trace.of(Launched)} - {0}
        leaves.append(sum(map(is_answer, steps.values())))
        lost += sum(node not in parents and not is_answer(steps[node]) for node in tried)
        assert answer.value
    if kind in (RebaseFree, Mcts, Dvts):
        assert lost == 0
    if kind in (Rebase, ParticleFilter) or (kind in (Beam, Dvts) and expand == 1):
        assert sum(leaves) / len(leaves) > 3.4


def test_where_all_first_steps_but_one_failed_the_others_are_drawn_again():
    script = dataclasses.replace(STEPS, steps=1, failure=0.6)
    answers = [run(Rebase(width=4), script, seed=seed) for seed in range(20)]
    leaves = [sum(map(is_answer, answer.trace.steps.values())) for answer in answers]
    failed = [sum(1 for _ in answer.trace.of(Failed)) for answer in answers]
    assert any(n > 4 - k for n, k in zip(leaves, failed, strict=True))


def test_subtrees_grow_by_their_own_width():
    answer = run(Dvts(width=10, expand=4))
    for depth in range(5):
        bought = sum(count for parent, count in children(answer).items() if depth_of(answer, parent) == depth)
        assert bought == 10
    assert max(children(run(Dvts(width=2, expand=4))).values()) == 2


class Book(Scripted):
    """Writes one text, whatever it is asked; goes on from where a prefix of it ends, and says `forced` to any other."""

    def __init__(self, text, forced=" 42\n"):
        super().__init__(lambda _: STEPS, "scripted")
        self.text, self.forced = text, forced

    def stream(self, prompt, sampling, n=1):
        async def deltas():
            prefix = prompt[-1].text if prompt[-1].role is Role.ASSISTANT else ""
            rest = self.text[len(prefix) :] if self.text.startswith(prefix) else self.forced
            ends = [rest.index(stop) + len(stop) for stop in sampling.stop if stop in rest]
            told, finish = (rest[: min(ends)], Finish.DELIMITER) if ends else (rest, Finish.EOS)
            for index in range(n):
                self.generated += 3
                yield Delta(told, 3, index, finish, prompt_tokens=None if index else 9)

        return Stream(deltas())


def read(kind, book, request=REQUEST, width=4):
    scorer = ByText()
    plan = Plan(kind(width=width), (("main", "scripted"),), scorer.name)
    return virtual(solve(request, plan, {"scripted": book}, {scorer.name: scorer}, seed=1))


ENDS = {
    "The answer is 7.\nBut wait.\n11 it is.": "7",
    "So, the final answer is 7\n11": "7",
    "2 + 5 = 7\n#### 7\n11": "7",
    "I think the answer is 5 or so.\nNo: 3 + 4 = 7": "5",  # read where it stands, but no leaf: the search goes on
    "It is hard to say.\nThat is all.": "42",  # it ended without a value, and is made to say one
}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("text", ENDS)
def test_a_path_ends_where_it_states_its_answer(kind, text):
    answer = read(kind, Book(text))
    assert answer.value.text == ENDS[text]
    lines = len([step for step in answer.trace.path(answer.trace.events[-1].step) if not step.suffix])
    assert lines == (1 if "swer is 7" in text else 2)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_a_stop_string_of_the_request_ends_the_path(kind):
    request = dataclasses.replace(REQUEST, sampling=Sampling(max_tokens=200, stop=("END",)))
    answer = read(kind, Book("First 3 + 4.\nThat makes 7 END and now for something else: 9"), request)
    assert answer.value.text == "7"
    assert answer.text.endswith("END")


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
@pytest.mark.parametrize("law", [lambda text: float("nan"), lambda text: 7.0, lambda text: -1e-9])
def test_a_score_that_is_none_is_a_failure_and_the_answer_a_majority(kind, law):
    answer = run(kind(width=8), scorer=ByText(law))
    assert answer.value
    failures = [event.score.failure for event in answer.trace.of(Scored)]
    assert failures
    assert all("score" in failure for failure in failures)


def test_a_scorer_that_gives_too_few_scores():
    class Short(ByText):
        async def score(self, request, paths):
            return (await super().score(request, paths))[:-1]

    answer = run(Rebase(width=4), scorer=Short())
    assert answer.value
    assert "scores for" in next(answer.trace.of(Scored)).score.failure


def test_a_scorer_that_breaks_midway():
    class Tired(ByText):
        async def score(self, request, paths):
            if sum(self.batches) > 12:
                raise ScorerError("out of breath")
            return await super().score(request, paths)

    answer = run(Rebase(width=8), scorer=Tired())
    failures = [event.score.failure for event in answer.trace.of(Scored) if event.score.failure]
    assert failures
    assert len(failures) < len(answer.trace.steps)
    assert answer.value


def test_an_engine_that_cannot_continue_is_refused_before_a_token():
    engine, able = Scripted(lambda _: STEPS, "mute"), Scripted(lambda _: STEPS, "able")
    engine.can = engine.can - {Ability.CONTINUES}
    plan = Plan(Rebase(), (("main", "mute"),), "by_text")
    with pytest.raises(AbilityMissing, match="able"):
        virtual(solve(REQUEST, plan, {"mute": engine, "able": able}, {"by_text": ByText()}))
    assert engine.generated == 0


def test_scores_are_taken_beside_the_draws():
    """With a scorer of half a second, the barrier form overlaps it with draws that are still running."""
    import asyncio

    class Slow(ByText):
        async def score(self, request, paths):
            await asyncio.sleep(0.3)
            return await super().score(request, paths)

    overlapped = run(Rebase(width=8), scorer=Slow()).trace
    events = overlapped.events
    first_scored = next(event.at for event in events if isinstance(event, Scored))
    last_drawn = max(e.at for e in events if isinstance(e, Drawn) and len(overlapped.path(e.step.id)) == 1)
    assert first_scored < last_drawn + 0.3 - 1e-9


def test_without_a_barrier_the_same_width_takes_less_time():
    script = dataclasses.replace(STEPS, tokens=(10, 120))
    spans, tokens = {}, {}
    for kind in (Rebase, RebaseFree):
        answers = [run(kind(width=8), script, scorer=MeanLogprob(), seed=seed) for seed in range(12)]
        spans[kind] = sum(answer.trace.seconds for answer in answers)
        tokens[kind] = sum(answer.usage.new_tokens for answer in answers)
    assert tokens[RebaseFree] == pytest.approx(tokens[Rebase], rel=0.1)
    assert spans[RebaseFree] < 0.9 * spans[Rebase]


def test_dvts_subtrees_do_not_wait_for_each_other():
    script = dataclasses.replace(STEPS, tokens=(10, 120))
    answer = run(Dvts(width=8, expand=2), script)
    first = {}
    for event in answer.trace.of(Launched):
        depth = depth_of(answer, event.id)
        root = answer.trace.path(event.id)[0].id
        first.setdefault(depth, []).append((event.at, root))
    second = [at for at, _ in first[2]]
    slowest = max(event.at for event in answer.trace.of(Drawn) if depth_of(answer, event.step.id) == 1)
    assert min(second) < slowest  # a subtree went on while another was still at its first step
    assert len({parent for parent in children(answer) if depth_of(answer, parent) == 1}) == 4


def test_beams_keep_the_best():
    answer = run(Beam(width=8, expand=4))
    values = {event.step: event.score.value for event in answer.trace.of(Scored)}
    for depth in range(1, 5):
        nodes = [s.id for s in answer.trace.steps.values() if depth_of(answer, s.id) == depth]
        chosen = {node for node in nodes if children(answer)[node]}
        assert chosen == set(sorted(nodes, key=values.get)[-2:])


def test_a_width_for_each_question():
    easy = run(RebaseAdaptive(width=32, probes=4), scorer=ByText(lambda text: 0.95))
    hard = run(RebaseAdaptive(width=32, probes=4), scorer=ByText(lambda text: 0.05))
    assert children(easy)[0] == 4
    assert children(hard)[0] == 32
    assert easy.usage.new_tokens < hard.usage.new_tokens / 4


def test_particles_are_resampled_by_chance_of_the_run():
    trees = {tuple(sorted(children(run(ParticleFilter(width=6), seed=seed)).items())) for seed in range(6)}
    assert len(trees) > 1


def test_mcts_stops_at_its_leaves_or_iterations():
    answer = run(Mcts(width=2, expand=2, iterations=100))
    assert sum(is_answer(step) for step in answer.trace.steps.values()) in (2, 3)
    few = run(Mcts(width=8, expand=2, iterations=2))
    assert few.usage.calls == 2 * 2 + 3  # two expansions, and the three open paths closed
    assert few.value
    assert sum(bool(step.suffix) for step in few.trace.steps.values()) == 3


@pytest.mark.parametrize(("choice", "value"), [(Choice.MAJORITY, "8"), (Choice.WEIGHTED, "7"), (Choice.BEST, "7")])
def test_choices(choice, value):
    steps = [leaf(1, "8"), leaf(2, "7"), leaf(3, "8")]
    scores = {1: Score(0.1), 2: Score(0.9), 3: Score(0.2)}
    assert Rebase(choose=choice).pick(REQUEST, steps, scores).step.value.text == value


def test_without_scores_every_choice_is_a_majority():
    steps = [leaf(1, "8"), leaf(2, "7"), leaf(3, "8")]
    broken = {id: Score(0.0, failure="broken") for id in (1, 2, 3)}
    for choice in Choice:
        assert Rebase(choose=choice).pick(REQUEST, steps, broken).step.value.text == "8"
        assert Rebase(choose=choice).pick(REQUEST, steps, {}).step.value.text == "8"
    assert Rebase().pick(REQUEST, [], {}) is None


def leaf(id, value):
    from poise import answers

    text = f"The answer is {value}."
    return Step(id, 0, Draft(text, Finish.EOS, 4), answers.extract(text, Kind.NUMBER))


@pytest.mark.parametrize("kind", [*ALL, QuietStarRebase], ids=lambda kind: kind.name)
def test_any_deadline_is_kept_with_the_best_so_far(kind):
    dice = random.Random(kind.name)
    for seed in range(12):
        seconds = dice.uniform(0.16, 2.5)
        answer = run(kind(width=6), budget=Budget(seconds=seconds), seed=seed)
        assert answer.trace.seconds <= seconds + 0.05
        assert answer.text
        leaves = [s for s in answer.trace.steps.values() if is_answer(s) and s.value]
        assert answer.value is not None or not leaves


@pytest.mark.parametrize("kind", [*ALL, QuietStarRebase], ids=lambda kind: kind.name)
def test_a_deadline_shorter_than_one_draw_still_answers(kind):
    answer = run(kind(width=4), budget=Budget(seconds=0.2))
    assert answer.text
    assert answer.trace.seconds <= 0.25


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rebase(width=0),
        lambda: Rebase(balance=0),
        lambda: Rebase(kappa=-1),
        lambda: Rebase(step_tokens=0),
        lambda: RebaseAdaptive(sure=1),
        lambda: RebaseAdaptive(probes=0),
        lambda: Beam(expand=0),
        lambda: Dvts(expand=0),
        lambda: Mcts(iterations=0),
        lambda: Mcts(exploration=-1),
        lambda: ParticleFilter(depth=0),
    ],
)
def test_absurd_knobs_are_refused(make):
    with pytest.raises(ConfigError, match="allowed"):
        make()


def test_by_depth_is_no_strategy_by_itself():
    with pytest.raises(NotImplementedError):
        ByDepth().shares([], None, 1, "")


class Dear(ByText):
    """Reads 50 tokens a path."""

    apart = True

    async def score(self, request, paths):
        bill = Usage(calls=1, scorer_tokens=50, flops=1e9)
        return [dataclasses.replace(score, usage=bill) for score in await super().score(request, paths)]


@pytest.mark.parametrize("kind", [*ALL, BestOfN], ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "budget",
    [Budget(new_tokens=600), Budget(total_tokens=1500), Budget(new_tokens=150), Budget(calls=9), Budget(flops=2e10)],
    ids=str,
)
def test_a_scorer_that_costs_something_passes_no_ceiling(kind, budget):
    """Draws, scores and the closing of what is open: together under every ceiling, and an answer is left."""
    strategy = BestOfN(8) if kind is BestOfN else kind(width=8)
    answer = run(strategy, scorer=Dear(), budget=budget)
    usage = answer.usage
    assert usage.new_tokens + usage.overrun_tokens + usage.scorer_tokens <= (budget.new_tokens or 10**9)
    assert usage.total_tokens <= (budget.total_tokens or 10**9)
    assert usage.flops <= (budget.flops or 1e99)
    launched = sum(1 for _ in answer.trace.of(Launched))
    assert launched <= (budget.calls or 10**9)
    assert answer.value is not None


def test_what_is_not_scored_for_want_of_room_says_so():
    answer = run(BestOfN(8), scorer=Dear(), budget=Budget(new_tokens=700))
    failures = [event.score.failure for event in answer.trace.of(Scored)]
    assert None in failures
    assert "no ceiling had room for it" in failures
    assert answer.stopped is Stopped.BUDGET
