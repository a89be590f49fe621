"""Chain of Density: over answers and over reasoning, what counts as a version, and what goes wrong."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces import LONG, SURE, check_bill, check_random_deadlines, run

from poise import answers
from poise.config import arm_of
from poise.core import Delta, Draft, Finish, Goal, Kind, Message, Request, Role, Step, Stopped
from poise.costs import Budget
from poise.engines.scripted import Scripted
from poise.errors import ConfigError, EngineUnreachable, NoAnswer
from poise.run import solve
from poise.scoring.density import Density
from poise.seams import Plan, Stream
from poise.search import density
from poise.strategies.cascade import Cascade
from poise.strategies.chain_of_density import ChainOfDensity, Over, reasoning
from poise.strategies.direct import Direct
from poise.testing import check_strategy, virtual
from poise.trace import Drawn, Forked, Launched, Picked, Scored

FIRST = "The tower is a very well known sight that many people from all over the world like to come and see each year."
SECOND = (
    "The tower in Paris is a well known sight that many people from all over the world come and see, all year long."
)
THIRD = (
    "The Eiffel Tower in Paris, a sight from 1889, is one that people from all over the world come and see each year."
)
FOURTH = (
    "The Eiffel Tower in Paris, by Gustave Eiffel, is a sight from 1889 that 7 million people come to see each year."
)
VERSIONS = (FIRST, SECOND, THIRD, FOURTH)
QUESTION = Request.ask("Tell me of the tower.", Kind.TEXT)

REASONED = (
    "Well, let us think. She bakes 4 trays of rolls, so that makes rolls.\nSome are sold, then.\nThe answer is 9."
)
DENSER = "4 trays of 6 rolls: 24 rolls.\n15 are sold, 9 are left.\nThe answer is 9."
DENSEST = "4 * 6 = 24\n24 - 15 = 9\nThe answer is 9."
SUM = Request.ask("How many rolls are left?", Kind.NUMBER)


class Teller(Scripted):
    """Says these texts, one a call, whatever is asked: 10 ms a word. A text may come with how it ends; None fails."""

    def __init__(self, *texts):
        super().__init__()
        self.can = frozenset()
        self._texts = iter(texts)
        self.asked = []
        self.samplings = []

    def stream(self, prompt, sampling, n=1):
        self.asked.append(prompt)
        self.samplings.append(sampling)

        async def deltas():
            text = next(self._texts)
            if text is None:
                raise EngineUnreachable("gone")
            text, finish = text if isinstance(text, tuple) else (text, Finish.EOS)
            words = text.split(" ")
            for at, word in enumerate(words):
                await asyncio.sleep(0.01)
                self.generated += 1
                last = at == len(words) - 1
                yield Delta(word if last else f"{word} ", 1, finish=finish if last else None, prompt_tokens=1)

        return Stream(deltas())


def told(strategy, *texts, request=QUESTION, budget=Budget(), scorer=None):
    """(answer, engine) of a run in which the model says these texts."""
    engine = Teller(*texts)
    plan = Plan(strategy, (("main", engine.name),), scorer.name if scorer else None)
    request = replace(request, goal=Goal(budget))
    scorers = {scorer.name: scorer} if scorer else {}
    answer = virtual(solve(request, plan, {engine.name: engine}, scorers, seed=1))
    check_bill(answer, engine)
    return answer, engine


def picked(answer):
    return next(answer.trace.of(Picked)).step


def step(id, text, kind=Kind.TEXT, finish=Finish.EOS):
    value = answers.extract(text, kind, truncated=finish is not Finish.EOS)
    return Step(id, 0, Draft(text, finish, len(text.split())), value)


def test_the_texts_here_are_what_they_are_for():
    assert [round(density.density(text), 3) for text in VERSIONS] == [0.0, 0.04, 0.115, 0.2]
    assert {density.words(text) for text in VERSIONS} == {22, 23}
    rising = [density.density(text) for text in (REASONED, DENSER, DENSEST)]
    assert rising == sorted(rising)


LAWFUL = [
    ChainOfDensity(1),
    ChainOfDensity(8, slack=1),
    ChainOfDensity(8, over=Over.ANSWER, slack=1, stop_density=1),
    ChainOfDensity(3, over=Over.TRACE, prompt="cot", measured=True),
]


@pytest.mark.parametrize("strategy", LAWFUL, ids=str)
@pytest.mark.parametrize("script", [LONG, SURE], ids=["unsure", "sure"])
def test_the_laws(strategy, script):
    script = replace(script, tokens=(3, 40))
    check_strategy(strategy, Density() if strategy.scored else None, lambda _: script)


@pytest.mark.parametrize("strategy", LAWFUL[:3], ids=str)
def test_random_deadlines(strategy):
    check_random_deadlines(strategy, replace(SURE, tokens=(5, 60), remembers=False))


def test_each_version_is_written_from_the_last_until_it_is_dense():
    answer, engine = told(ChainOfDensity(), *VERSIONS, "never asked for")
    assert (answer.text, answer.stopped, answer.usage.calls) == (FOURTH, Stopped.DONE, 4)
    first, *further = engine.asked
    assert first[-1].text.startswith("Tell me of the tower.\n\nWrite a first version of the answer, about 80 words")
    for turns, last in zip(further, VERSIONS, strict=False):
        assert [turn.role for turn in turns] == [Role.USER, Role.ASSISTANT, Role.USER]
        assert [turn.text for turn in turns[:2]] == ["Tell me of the tower.", last]
        assert "a version of about 23 words" in turns[2].text
    forks = [event.pick for event in answer.trace.of(Forked)]
    assert forks == [None, 2, None, 3, None, 4]


def test_the_trace_of_two_rounds():
    """All that happened, exactly: three draws from the root, one after another, the last two within forks."""
    answer, _ = told(ChainOfDensity(3), *VERSIONS)
    words = []
    for event in answer.trace.events:
        match event:
            case Launched():
                words.append(f"{event.at:.2f} launch {event.id} under {event.parent}, {event.max_tokens} tokens")
            case Drawn():
                words.append(f"{event.at:.2f} drawn {event.step.id}, {event.usage.new_tokens} tokens")
            case Forked():
                words.append(f"{event.at:.2f} fork {event.strategy} -> {event.pick}")
            case Picked():
                words.append(f"{event.at:.2f} picked {event.step} {event.stopped.value} {event.confidence}")
    assert words == [
        "0.00 launch 1 under 0, 256 tokens",
        "0.23 drawn 1, 23 tokens",
        "0.23 fork rewrite -> None",
        "0.23 launch 2 under 0, 256 tokens",
        "0.46 drawn 2, 23 tokens",
        "0.46 fork rewrite -> 2",
        "0.46 fork rewrite -> None",
        "0.46 launch 3 under 0, 256 tokens",
        "0.69 drawn 3, 23 tokens",
        "0.69 fork rewrite -> 3",
        "0.69 picked 3 done None",
    ]


def test_the_whole_conversation_goes_along():
    before = (Message(Role.SYSTEM, "Be kind."), Message(Role.USER, "Hello"), Message(Role.ASSISTANT, "Hi"))
    request = Request((*before, Message(Role.USER, "Tell me of {draft}.")), Kind.TEXT)
    _, engine = told(ChainOfDensity(2), FIRST, SECOND, request=request)
    assert engine.asked[1][:5] == (*before, Message(Role.USER, "Tell me of {draft}."), Message(Role.ASSISTANT, FIRST))


def test_no_ability_is_needed_but_that_of_turns():
    assert ChainOfDensity().needs == frozenset()
    assert Teller().can == frozenset()


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_no_more_than_the_rounds(rounds):
    answer, _ = told(ChainOfDensity(rounds), *VERSIONS)
    assert (answer.text, answer.usage.calls) == (VERSIONS[rounds - 1], rounds)


@pytest.mark.parametrize(("stop", "calls"), [(0.01, 2), (0.1, 3), (0.15, 4), (1.0, 5)])
def test_rounds_end_at_the_density_asked_for(stop, calls):
    answer, _ = told(ChainOfDensity(stop_density=stop), *VERSIONS, FOURTH)
    assert answer.usage.calls == calls
    assert answer.text == VERSIONS[min(calls, 4) - 1]


@pytest.mark.parametrize(
    "bad",
    [
        SECOND,  # no denser
        "Paris, 1889.",  # too short
        f"{THIRD} And {FOURTH}",  # too long
        "...",  # says nothing
        (FOURTH, Finish.LENGTH),  # cut
        None,  # failed
    ],
    ids=["sparser", "short", "long", "nothing", "cut", "failed"],
)
def test_what_does_not_count_ends_the_rounds(bad):
    answer, _ = told(ChainOfDensity(), FIRST, THIRD, bad, FOURTH)
    assert answer.text == THIRD
    assert answer.usage.calls == 3


def test_slack_bounds_the_length_on_both_sides():
    length = density.words(FIRST)
    for extra, slack, counts in ((5, 0.25, True), (6, 0.25, False), (-5, 0.25, True), (-6, 0.25, False), (1, 0, False)):
        text = " ".join(["Paris,", *["word"] * (length + extra - 1)])
        text = text.replace("Paris, word", "word Paris,")
        assert density.words(text) == length + extra
        pick = ChainOfDensity(slack=slack).pick(QUESTION, [step(1, FIRST), step(2, text)], {})
        assert (pick.step.id == 2) is counts


def test_a_first_version_that_was_cut_gives_way_to_a_whole_one():
    answer, _ = told(ChainOfDensity(3), (f"{FOURTH} {FOURTH} {FOURTH} And", Finish.LENGTH), SECOND, THIRD)
    assert answer.text == THIRD


def test_a_first_draw_that_fails_is_no_answer():
    with pytest.raises(NoAnswer, match="gone"):
        told(ChainOfDensity(), None)


def test_at_the_deadline_the_last_finished_version_answers():
    words = len(FIRST.split(" "))
    seconds = 0.01 * (words + len(SECOND.split(" ")) + 10) + 0.05
    answer, _ = told(ChainOfDensity(), *VERSIONS, budget=Budget(seconds=seconds))
    assert (answer.text, answer.stopped) == (SECOND, Stopped.DEADLINE)
    [closed] = [event.step for event in answer.trace.of(Drawn) if event.step.draft.finish is Finish.CLOSED]
    assert THIRD.startswith(closed.text)


def test_a_ceiling_on_calls_leaves_what_there_is():
    answer, _ = told(ChainOfDensity(), *VERSIONS, budget=Budget(calls=2))
    assert (answer.text, answer.stopped, answer.usage.calls) == (SECOND, Stopped.BUDGET, 2)


def test_reasoning_is_made_denser_and_read_anew():
    answer, engine = told(ChainOfDensity(), REASONED, DENSER, DENSEST, DENSER, "The answer is 9.", request=SUM)
    assert (answer.text, answer.value.text, answer.usage.calls) == (DENSEST, "9", 5)
    assert next(answer.trace.of(Picked)).votes == 2
    assert "Think step by step" in engine.asked[0][-1].text
    *_, rewriting, reading = engine.asked
    assert f"at most {density.words(REASONED)} words" in rewriting[-1].text
    assert reading[1] == Message(Role.ASSISTANT, "4 * 6 = 24\n24 - 15 = 9")
    assert reading[-1].text.endswith('Reply with one line: "The answer is" and the number.')
    assert [sampling.temperature for sampling in engine.samplings] == [0.7, 0.7, 0.7, 0.7, 0.0]


@pytest.mark.parametrize("read", ["The answer is 8.", "I cannot say.", None, ("The", Finish.LENGTH)])
def test_where_another_answer_is_read_the_original_stands(read):
    answer, _ = told(ChainOfDensity(2), REASONED, DENSER, read, request=SUM)
    assert (answer.text, answer.value.text, answer.usage.calls) == (REASONED, "9", 3)
    assert next(answer.trace.of(Picked)).votes == 1


@pytest.mark.parametrize("other", [DENSER.replace("9.", "8."), REASONED, "Nothing.", None])
def test_where_nothing_is_denser_with_the_same_value_nothing_is_read(other):
    answer, _ = told(ChainOfDensity(), REASONED, other, request=SUM)
    assert (answer.text, answer.usage.calls) == (REASONED, 2)


def test_reasoning_without_anything_but_its_answer_is_not_read():
    answer, _ = told(ChainOfDensity(2), "So, well, the answer is 9.", "The answer is 9.", request=SUM)
    assert (answer.text, answer.usage.calls) == ("So, well, the answer is 9.", 2)


def test_equivalent_values_are_the_same():
    answer, _ = told(ChainOfDensity(2), REASONED, DENSER, "The answer is 9.0.", request=SUM)
    assert answer.text == DENSER


def test_reasoning_that_was_cut_is_finished_by_a_denser_version():
    answer, _ = told(ChainOfDensity(2), ("Well, she bakes 4 trays of", Finish.LENGTH), DENSER, request=SUM)
    assert (answer.value.text, answer.text, answer.usage.calls) == ("9", DENSER, 2)


def test_at_the_deadline_unread_reasoning_does_not_answer():
    seconds = 0.01 * (len(REASONED.split(" ")) + len(DENSER.split(" ")) + 2) + 0.05
    answer, _ = told(ChainOfDensity(), REASONED, DENSER, DENSEST, request=SUM, budget=Budget(seconds=seconds))
    assert (answer.text, answer.stopped) == (REASONED, Stopped.DEADLINE)


def test_which_of_the_two_may_be_said():
    short = replace(QUESTION, messages=(Message(Role.USER, "Is it on?"),))
    texts = (
        "It was off, then Mia turns it on.\nThe answer is yes.",
        "Last by Mia: on\nThe answer is yes.",
        "The answer is Yes",
    )
    answer, engine = told(ChainOfDensity(2, over=Over.TRACE, prompt="cot"), *texts, request=short)
    assert (answer.text, answer.value.text) == (texts[1], "yes")
    assert engine.asked[2][1].text == "Last by Mia: on"
    whole, engine = told(ChainOfDensity(2, over=Over.ANSWER, slack=1), REASONED, DENSER, request=SUM)
    assert (whole.text, whole.usage.calls) == (DENSER, 2)
    assert "names, places, dates" in engine.asked[1][-1].text
    other, _ = told(ChainOfDensity(2, over=Over.ANSWER, slack=1), REASONED, DENSER.replace("9.", "8."), request=SUM)
    assert other.text == REASONED


def test_versions_are_measured_for_the_record():
    answer, _ = told(ChainOfDensity(4, measured=True), *VERSIONS, scorer=Density())
    scores = {event.step: event.score.value for event in answer.trace.of(Scored)}
    assert scores == {at + 1: density.density(text) for at, text in enumerate(VERSIONS)}
    assert not ChainOfDensity().scored


@settings(deadline=None)
@given(st.permutations(range(4)))
def test_the_pick_does_not_depend_on_the_order_of_completion(order):
    steps = [step(at + 1, VERSIONS[at]) for at in order]
    assert ChainOfDensity().pick(QUESTION, steps, {}).step.id == 4
    assert ChainOfDensity(over=Over.TRACE).pick(QUESTION, steps, {}).step.id == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from([*VERSIONS, "Paris.", "", "1 2 3 4", f"{FIRST} {FOURTH}"]), min_size=1, max_size=6))
def test_no_version_is_sparser_than_the_first_nor_of_another_length(texts):
    steps = [step(at + 1, text) for at, text in enumerate(texts)]
    chosen = ChainOfDensity().pick(QUESTION, steps, {}).step
    whole = [one for one in steps if one.value]
    first = whole[0] if whole else steps[0]
    assert density.density(chosen.text) >= density.density(first.text)
    assert abs(density.words(chosen.text) - density.words(first.text)) <= 0.25 * density.words(first.text)


def test_nothing_finished_is_no_pick():
    assert ChainOfDensity().pick(QUESTION, [], {}) is None
    assert ChainOfDensity().pick(QUESTION, [step(1, FIRST, finish=Finish.CLOSED)], {}) is None


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("4 * 6 = 24\nThe answer is 24.", "4 * 6 = 24"),
        ("4 * 6 = 24\nSo the answer is 24.\n\nThe answer is 24.", "4 * 6 = 24"),
        ("The answer is 24.\nThat is 4 * 6.", "That is 4 * 6."),
        ("4 * 6 = 24\nThe answer is:\n24", "4 * 6 = 24\nThe answer is:"),
        ("The answer to the first part is 5.\n5 * 2 = 10\n#### 10", "The answer to the first part is 5.\n5 * 2 = 10"),
        ("4 * 6 = 24", "4 * 6 = 24"),
        ("The answer is 24.", ""),
        ("", ""),
    ],
)
def test_reasoning_is_what_does_not_state_the_answer(text, bare):
    assert reasoning(text, Kind.NUMBER) == bare


def test_it_may_stand_in_a_cascade():
    cascade = Cascade((Direct(), ChainOfDensity(2)))
    answer, _ = told(cascade, "A tower.", FIRST, SECOND)
    assert answer.text == SECOND


def test_a_run_repeats_under_its_seed():
    script = replace(SURE, tokens=(5, 40), remembers=False)
    first, again, other = (run(ChainOfDensity(6, slack=1), script, seed=seed)[0].text for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    ("knobs", "field"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rounds": 101}, "rounds"),
        ({"words": 0}, "words"),
        ({"stop_density": 0}, "stop_density"),
        ({"stop_density": 1.1}, "stop_density"),
        ({"stop_density": float("nan")}, "stop_density"),
        ({"slack": -0.1}, "slack"),
        ({"slack": 1.1}, "slack"),
    ],
)
def test_absurd_knobs_are_refused(knobs, field):
    with pytest.raises(ConfigError) as caught:
        ChainOfDensity(**knobs)
    assert caught.value.field == field


def test_its_knobs_are_read_from_words():
    made = arm_of("chain_of_density:rounds=3,words=40,stop_density=0.2,slack=0.1,over=trace,prompt=cot").plan.strategy
    assert made == ChainOfDensity(3, 40, 0.2, 0.1, Over.TRACE, prompt="cot")
    _, engine = told(replace(made, over=Over.ANSWER, prompt="chain_of_density"), *VERSIONS)
    assert "about 40 words" in engine.asked[0][-1].text
