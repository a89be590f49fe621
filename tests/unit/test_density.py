"""Density: what counts as an entity, exact numbers, and laws over any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.search import density

SPARSE = "This answer is about a well known tower. It was built a long time ago, and very many people like to visit it."
DENSE = (
    "Gustave Eiffel built the Eiffel Tower in Paris for the 1889 World's Fair; at 330 metres it draws 7 million a year."
)
WORDS = "The the Paris paris of Bank Dr Mr May I A 5 12.5 1. $ % km two First first . , : ? ( ) - & U.S. NASA B12 it's"
PIECES = st.sampled_from([*WORDS.split(), "Ann's", "1889", "\n"])
MADE = st.lists(PIECES, max_size=25).map(" ".join)
TEXTS = st.one_of(st.text(max_size=60), MADE)
slowly = settings(deadline=None)


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("The Bank of England raised its rate by 0.5%.", ("bank of england", "0.5 %")),
        ("Apollo 11 landed on July 20, 1969.", ("apollo 11", "july 20 , 1969")),
        ("He was born on 5 May 1889, in May.", ("5 may 1889", "may")),
        ("May 5 is a day. May I go?", ("may 5",)),
        ("It cost $3 million, or 3 euros.", ("$ 3 million", "3 euros")),
        ("Dr. Smith met J. K. Rowling. She left.", ("dr . smith", "j . k . rowling")),
        ("Take option B. The end.", ()),
        ("In the U.S. Army, NASA and B12.", ("u.s. army", "nasa", "b12")),
        ("two hundred men, twenty-one women", ("two hundred", "twenty-one")),
        ("First, one goes. He came second.", ("second",)),
        ("Lions roar. They are old.", ()),
        ("Paris is large. He likes Paris.", ("paris",)),
        ("Ann's hat is near Ann.", ("ann",)),
        ("I'm sure that I've seen it.", ()),
        ("1. Bought: 3 * 4 = 12\n2. Total: 12 + 12 = 24", ("3", "4", "12", "24")),
        ("24.", ("24",)),
        ("", ()),
    ],
)
def test_what_counts(text, entities):
    assert density.entities(text) == entities


def test_tokens_and_words():
    text = "Ann's rate, 0.5%, isn't state-of-the-art."
    assert (density.tokens(text), density.words(text)) == (9, 5)
    assert density.density("The answer is 18.") == 1 / 5
    assert density.density("") == 0.0


def test_a_dense_text_is_above_what_people_prefer_and_a_sparse_one_far_below():
    assert density.density(SPARSE) == 0.0
    assert density.density(DENSE) == pytest.approx(7 / 24)


@slowly
@given(TEXTS)
def test_it_is_a_share_and_repeats(text):
    assert 0 <= density.density(text) <= 1
    assert density.density(text) == density.density(text)
    assert density.words(text) <= density.tokens(text)
    assert len(set(density.entities(text))) == len(density.entities(text))


@slowly
@given(TEXTS)
def test_saying_it_twice_adds_nothing(text):
    twice = f"{text}\n{text}"
    assert density.entities(twice) == density.entities(text)
    assert density.density(twice) == pytest.approx(density.density(text) / 2)


@slowly
@given(TEXTS, TEXTS)
def test_the_order_of_lines_does_not_matter(one, other):
    there, back = f"{one}\n{other}", f"{other}\n{one}"
    assert set(density.entities(there)) == set(density.entities(back))
    assert density.tokens(there) == density.tokens(one) + density.tokens(other)
    assert set(density.entities(one)) <= set(density.entities(there))


@slowly
@given(TEXTS, st.integers(1, 9))
def test_filler_thins_and_facts_thicken(text, count):
    filled = f"{text}\n{'and so on ' * count}"
    assert density.entities(filled) == density.entities(text)
    assert density.density(filled) < density.density(text) or not density.entities(text)
    assert set(density.entities(f"{text}\nsaw Qxzvia")) == {*density.entities(text), "qxzvia"}


@slowly
@given(st.text(st.characters(whitelist_categories=["Ll", "Zs", "Po"]), max_size=80))
def test_without_capitals_digits_and_number_words_nothing_is_named(text):
    counted = {"half", "dozen", "two", "six", "ten", "first", "third"}
    assert not density.entities(text) or any(word in text for word in counted) or "$" in text
