"""Answers as tokens: apart from what asks for them, or refused by name."""

import pytest
from tiny_lm import SPACED, metaspace, tokenizer

from poise.core import Kind
from poise.errors import ConfigError
from poise.evals.rows import Item
from poise.tune.labels import label


def item(truth, kind=Kind.NUMBER):
    return Item("sums/7", "sums", "What?", truth, kind, "sums/7")


def merging(*words):
    """Bytes, and words that are one token wherever they stand."""
    from tokenizers import AddedToken

    made = tokenizer()
    made.add_tokens([AddedToken(word, normalized=False) for word in words])
    return made


@pytest.mark.parametrize(
    ("truth", "kind", "asked", "answer"),
    [
        ("42", Kind.NUMBER, "\n\nThe answer is", " 42"),
        ("Paris", Kind.TEXT, "\n\nThe answer is", " Paris"),
        ("(B)", Kind.CHOICE, "\n\nThe answer is (", "B"),
    ],
)
def test_the_two_together_are_the_text(truth, kind, asked, answer):
    words = tokenizer()
    found = label(words, item(truth, kind))
    assert words.decode(found.asked) == asked
    assert words.decode(found.answer) == answer
    assert words(asked + answer, add_special_tokens=False).input_ids == [*found.asked, *found.answer]


@pytest.mark.parametrize("how", SPACED)
@pytest.mark.parametrize(("truth", "kind"), [("42", Kind.NUMBER), ("Think", Kind.TEXT), ("(B)", Kind.CHOICE)])
def test_what_goes_on_from_a_text_begins_without_a_space_of_its_own(how, truth, kind):
    words = metaspace(how)
    found = label(words, item(truth, kind))
    ahead = words("So 7.", add_special_tokens=False).input_ids
    text = f"So 7.\n\nThe answer is{' (B' if kind is Kind.CHOICE else f' {truth}'}"
    assert words(text, add_special_tokens=False).input_ids == [*ahead, *found.asked, *found.answer]
    assert words.convert_ids_to_tokens(found.asked)[:3] == ["<0x0A>", "<0x0A>", "Th"]


def test_an_answer_that_grows_together_with_its_question_is_refused_by_name():
    assert label(merging(" 42"), item("42")).answer != label(tokenizer(), item("42")).answer
    with pytest.raises(ConfigError, match=r"answer of sums/7: got '42'"):
        label(merging("is 4"), item("42"))
    assert label(merging("is 4"), item("52"))


def test_an_answer_that_does_not_read_back_is_refused():
    import planted

    assert label(planted.tokenizer(), item("4")).answer
    with pytest.raises(ConfigError, match="sums/7"):
        label(planted.tokenizer(), item("-4"))
