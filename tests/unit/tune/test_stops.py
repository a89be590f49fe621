"""Where a reasoning could have ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_lm import INST, SPACED, TEMPLATE, metaspace, tokenizer

from poise.core import Kind, Role
from poise.evals.rows import Item
from poise.models.turns import prompt_ids
from poise.tune.generate import Generated
from poise.tune.placing import messages
from poise.tune.stops import MOST_ENDS, earliest, read_offs, spread, step_ends, stops


def grown(text):
    """The text of the first letter, of the first two, and so on."""
    return [text[:length] for length in range(1, len(text) + 1)]


def cut(text):
    return [text[:end] for end in step_ends(grown(text))]


def test_a_step_ends_with_a_line_a_sentence_or_the_text():
    assert cut("3 + 4 = 7.\nSo 7! Yes") == ["3 + 4 = 7.", "3 + 4 = 7.\nSo 7!", "3 + 4 = 7.\nSo 7! Yes"]
    assert cut("a\n\nb\n") == ["a\n", "a\n\nb\n"]


def test_a_point_within_a_number_ends_nothing():
    assert cut("It is 3.5 m. Done.") == ["It is 3.5 m.", "It is 3.5 m. Done."]
    assert cut('He said "7." Then 8') == ['He said "7."', 'He said "7." Then 8']


@given(st.text(alphabet="ab.!\n 7", min_size=1, max_size=40))
def test_ends_rise_and_each_adds_something(text):
    ends = step_ends(grown(text))
    assert ends == sorted(set(ends))
    kept = [text[:end].rstrip() for end in ends]
    assert len(set(kept)) == len(kept)
    assert not text.strip() or kept[-1] == text.rstrip()


@given(st.lists(st.integers(1, 99), unique=True).map(sorted), st.integers(1, 9))
def test_a_few_of_many_ends_with_the_last(ends, most):
    some = spread(ends, most)
    assert len(some) == min(len(ends), most)
    assert set(some) <= set(ends)
    assert some == sorted(some)
    assert not ends or some[-1] == ends[-1]


@given(st.lists(st.booleans()))
def test_from_the_earliest_on_all_is_right(right):
    first = earliest(right)
    if first is None:
        assert not right or not right[-1]
    else:
        assert all(right[first:])
        assert right[first:]
        assert first == 0 or not right[first - 1]


ITEM = Item("sums/1", "sums", "3 + 4?", "7", Kind.NUMBER, "sums/1")


def told(text, right=True, **changes):
    ids = tuple(tokenizer()(text, add_special_tokens=False).input_ids)
    return Generated("sums/1", text, ids, **{"tokens": len(ids) + 1, "right": right, **changes})


def asked(*answers, most=100):
    count = len(answers)
    return read_offs(tokenizer(), [ITEM] * count, [messages(ITEM.question, "Go.")] * count, answers, most)


def test_answers_are_asked_for_at_every_end_of_what_is_right_or_was_cut():
    text = "3 + 4 = 7.\nSo 7."
    found = asked(told(text), told(text, right=False), told(text, failure="gone"), told(text, right=False, tokens=100))
    assert [(each.row, each.length) for each in found] == [(0, 10), (0, 16), (3, 10), (3, 16)]
    last = found[0].asked.prompt[-1]
    assert last.role is Role.ASSISTANT
    assert last.text == "3 + 4 = 7.\n\nThe answer is"
    assert found[0].asked.lead == "\n\nThe answer is"
    assert asked(told("")) == []


@pytest.mark.parametrize("how", SPACED)
@pytest.mark.parametrize("template", [TEMPLATE, INST], ids=["turns", "inst"])
@pytest.mark.parametrize("begin", ["So", "▁So"])
def test_what_is_asked_goes_on_from_the_tokens_that_were_said(how, template, begin):
    """A space that the first of them has is told by no text of theirs."""
    words = metaspace(how, template)
    ids = tuple(words.convert_tokens_to_ids([begin, "▁7", "."]))
    turn = messages(ITEM.question, "Think.")
    (found,) = read_offs(words, [ITEM], [turn], [Generated("sums/1", "So 7.", ids, 4, right=True)], 100)
    assert prompt_ids(words, found.asked.prompt)[: len(prompt_ids(words, turn)) + 3] == [*prompt_ids(words, turn), *ids]


def test_many_ends_are_thinned():
    assert len(asked(told("7.\n" * 30))) == MOST_ENDS


@pytest.mark.parametrize(
    ("right", "length"),
    [((False, True, True), 5), ((True, False, True), 8), ((True, True, False), None), ((True, True, True), 2)],
)
def test_the_stop_is_where_the_answer_is_right_and_stays_right(right, length):
    looks = asked(told("a.\nb.\nc.\n"), told("", right=False))
    assert [each.length for each in looks] == [2, 5, 8]
    answers = [Generated("sums/1", right=each) for each in right]
    assert stops(2, looks, answers, (1, 7)) == [None if length is None else (length, (1, 7)), None]
