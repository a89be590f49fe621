"""Edits of length: what they make of a prompt, and that they find it again."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.errors import ConfigError, DataError
from poise.tune.phrases import Phrases, load_phrases, shipped
from poise.tune.shortlist import Kind, Source

BANK = Phrases(("Be brief.", "Use at most {n} words."), default=40, low=10, high=100)


def made(prompt, kind, bank=BANK):
    """All that edits of a kind make of a prompt, over many dice."""
    every = (edit for seed in range(40) for edit in bank.edits(prompt, random.Random(seed)))
    return {edit.text for edit in every if edit.kind is kind}


def test_a_number_is_halved_and_doubled_within_its_bounds():
    assert made("Use at most 40 words.", Kind.NUMBER) == {"Use at most 20 words.", "Use at most 80 words."}
    assert made("Use 15 words.", Kind.NUMBER) == {"Use 10 words.", "Use 30 words."}
    assert made("Use 100 words.", Kind.NUMBER) == {"Use 50 words."}


def test_only_a_number_with_a_unit_is_one():
    assert made("Add 12 and 3.5 words or 1,000 words. 7 wordsmiths.", Kind.NUMBER) == set()
    assert made("2 cats, 16 words, 20 words", Kind.NUMBER) == {
        "2 cats, 10 words, 20 words",
        "2 cats, 32 words, 20 words",
        "2 cats, 16 words, 10 words",
        "2 cats, 16 words, 40 words",
    }


def test_a_phrase_goes_to_either_end_unless_it_is_there():
    assert made("Think.", Kind.INSERT) == {
        "Be brief. Think.",
        "Think. Be brief.",
        "Use at most 40 words. Think.",
        "Think. Use at most 40 words.",
    }
    assert made("Be brief. Think.", Kind.INSERT) == {
        "Use at most 40 words. Be brief. Think.",
        "Be brief. Think. Use at most 40 words.",
    }
    assert made("Be brief. Use at most 7 words.", Kind.INSERT) == set()


def test_a_sentence_is_cut_and_the_rest_stays_as_it_was():
    assert made("Think. Use 3.5 m!\nBe brief.", Kind.CUT) == {
        "Use 3.5 m!\nBe brief.",
        "Think. Be brief.",
        "Think. Use 3.5 m!",
    }
    assert made("Only one.", Kind.CUT) == set()


text = st.text(alphabet="ab 7w.!\n{}", min_size=1, max_size=30)


@given(text, st.integers(0, 99))
def test_edits_are_new_texts_and_not_empty(prompt, seed):
    edits = BANK.edits(prompt, random.Random(seed))
    assert len(edits) <= 4
    for edit in edits:
        assert edit.text
        assert edit.text.strip()
        assert edit.text != prompt
        assert edit.source is (Source.PHRASE if edit.kind is Kind.INSERT else Source.FREE)
    assert edits == BANK.edits(prompt, random.Random(seed))


@settings(max_examples=20)
@given(st.integers(10, 100))
def test_halving_and_doubling_reach_both_ends(n):
    """From any number, steps of the search get to the lowest and the highest."""
    for end, side in ((10, min), (100, max)):
        now = n
        for _ in range(5):
            near = [int(next(iter(BANK.numbers(one)))[0]) for one in made(f"{now} words", Kind.NUMBER)]
            now = side([now, *near])
        assert now == end


def test_slots_are_filled_before_anything_is_asked():
    assert BANK.filled("Use at most {n} words, {n} words!") == "Use at most 40 words, 40 words!"
    assert BANK.filled("\\boxed{} it") == "\\boxed{} it"
    with pytest.raises(ConfigError, match=r"\{n\} in front of one of words"):
        BANK.filled("Use {n} lines.")


def test_what_comes_of_a_phrase_is_found_again():
    bank = shipped()
    assert len(bank.phrases) >= 8
    for phrase in bank.phrases:
        assert len(bank.numbers(bank.filled(phrase))) == phrase.count("{n}")
        assert bank.filled(phrase) not in made(bank.filled(phrase), Kind.INSERT, bank)
    assert {"words", "sentences"} <= set(bank.units)


@pytest.mark.parametrize(
    ("lines", "hint"),
    [
        ('phrases = ["a"]\ndefault = "x"', "default"),
        ('phrases = ["a"]\nmore = 1', "more"),
        ("phrases = []", "at least one"),
        ("phrases = [1]", "at least one"),
        ("phrases = [", "TOML"),
        ('phrases = ["Use {n}."]', "unit"),
        ('phrases = ["a"]\nlow = 60', "low"),
        ('phrases = ["a\\nb"]', "line"),
    ],
)
def test_a_bank_that_cannot_be_is_refused(tmp_path, lines, hint):
    path = tmp_path / "bank.toml"
    path.write_text(lines)
    with pytest.raises(ConfigError, match=hint):
        load_phrases(path)


def test_a_bank_of_ones_own(tmp_path):
    path = tmp_path / "bank.toml"
    path.write_text('phrases = ["Fasse dich kurz.", "Höchstens {n} Wörter."]\ndefault = 30\n')
    assert load_phrases(path) == Phrases(("Fasse dich kurz.", "Höchstens {n} Wörter."), 30)
    with pytest.raises(DataError, match="TOML"):
        load_phrases(tmp_path / "none.toml")
