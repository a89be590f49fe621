"""Few-shot prompts: the same questions in three manners, their answers right, their drafts short."""

import datetime
import re

import pytest

from poise import answers, prompts
from poise.core import Kind, Request, Role

NAMES = ("direct_few_shot", "cot_few_shot", "chain_of_draft_few_shot")
THEN = datetime.date(2025, 2, 28) + datetime.timedelta(3)
TRUTHS = (
    (Kind.NUMBER, str(4 * 6 - 15)),
    (Kind.CHOICE, "C"),
    (Kind.EXPRESSION, "2x + 6"),
    (Kind.TEXT, "yes"),
    (Kind.TEXT, f"{THEN.day} {THEN:%B %Y}"),
    (Kind.NUMBER, f"{90 / 1.5 * 4:g}"),
)


def shots(name, kind=Kind.TEXT):
    """(question, answer) of each example."""
    *turns, last = prompts.load(name).render(Request.ask("What now?", kind))
    assert turns[0].role is Role.SYSTEM
    assert last.text == "What now?"
    roles = [turn.role for turn in turns[1:]]
    assert roles == [Role.USER, Role.ASSISTANT] * (len(roles) // 2)
    texts = [turn.text for turn in turns[1:]]
    return list(zip(texts[::2], texts[1::2], strict=True))


def test_all_show_the_same_questions():
    asked = [[question for question, _ in shots(name)] for name in NAMES]
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]) == len(TRUTHS)
    assert "Friday, 28 February 2025" in asked[0][4]
    assert datetime.date(2025, 2, 28).weekday() == 4


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_right_and_every_kind_is_shown(name):
    for (_, said), (kind, truth) in zip(shots(name), TRUTHS, strict=True):
        found = answers.extract(said, kind)
        assert found is not None
        assert answers.same(found.text, truth, kind)
    assert {kind for kind, _ in TRUTHS} == set(Kind)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", Kind)
def test_the_format_stands_before_the_examples(name, kind):
    prompt = prompts.load(name)
    system = prompt.render(Request.ask("What now?", kind))[0].text
    assert system.endswith(dict(prompt.formats)[kind])
    assert shots(name, kind) == shots(name)


def test_drafts_take_at_most_five_words_a_step():
    steps = [line for _, said in shots("chain_of_draft_few_shot") for line in said.split("\n")]
    drafts = [line for line in steps if not line.startswith("The answer is")]
    assert len(steps) - len(drafts) == len(TRUTHS)
    assert all(1 <= len(re.findall(r"[A-Za-z]{2,}", line)) <= 5 for line in drafts)


def test_drafts_are_shorter_than_thoughts_and_answers_alone_shorter_still():
    for index in range(len(TRUTHS)):
        direct, thoughts, drafts = (len(shots(name)[index][1].split()) for name in NAMES)
        assert direct < drafts < thoughts
