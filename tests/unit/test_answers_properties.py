"""Laws of answers that hold for all texts and numbers."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poise.answers import canonical, classes, extract, same, symbolic
from poise.core import Kind, Rule, Value

# Texts rich in what the rules look for.
MARKS = [*"{}=+/%$.,-^'x\n\u2212\u00a0 ", "####", "**", "\\boxed{", "\\frac", "(B)", "A.", "1", "23", "456", "e5", "10"]
MARKED = st.lists(
    st.sampled_from([*MARKS, "answer is ", "Answer:", "Step 2: ", "percent"]) | st.text(max_size=3), max_size=20
).map("".join)
TEXTS = st.text() | MARKED
KINDS = st.sampled_from(Kind)
PLAIN_KINDS = st.sampled_from([Kind.NUMBER, Kind.CHOICE, Kind.TEXT])
INTEGERS = st.integers(-(10**15), 10**15)
DECIMALS = st.tuples(INTEGERS, st.integers(0, 8))


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Arbitrary text is not mathematics: compare its canonical forms only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(symbolic, "_LONGEST", 0)
        symbolic.equivalent.cache_clear()
        yield
    symbolic.equivalent.cache_clear()


@given(TEXTS, KINDS, st.booleans())
def test_any_text_is_read_without_an_error(text, kind, truncated):
    value = extract(text, kind, truncated=truncated)
    if value is None:
        return
    assert value.text
    assert canonical(value.text, kind) == value.text
    if truncated:
        assert value.rule in (Rule.HASHES, Rule.BOXED, Rule.ANSWER_IS)


@given(TEXTS, KINDS)
def test_canonical_forms_are_canonical(text, kind):
    once = canonical(text, kind)
    assert canonical(once, kind) == once


@given(TEXTS, TEXTS, KINDS)
def test_sameness_is_reflexive_and_symmetric(a, b, kind):
    assert same(a, a, kind)
    assert same(a, b, kind) == same(b, a, kind)


@given(TEXTS, KINDS)
def test_a_canonical_form_is_the_same_as_its_text(text, kind):
    assert same(text, canonical(text, kind), kind)


NUMERALS = st.sampled_from(["50%", "50", "0.5", "0.5%", "7", "7.0", "14/2", "700%", "1/3", "-7"])


@given(st.lists(st.none() | NUMERALS), PLAIN_KINDS)
def test_classes_agree_with_sameness(texts, kind):
    found = [None if text is None else Value(canonical(text, kind), Rule.LAST_NUMBER) for text in texts]
    labels = classes(found, kind)
    firsts = {}
    for value, label in zip(found, labels, strict=True):
        assert (value is None) == (label == -1)
        if value is None:
            continue
        earlier = [number for number, first in firsts.items() if same(first.text, value.text, kind)]
        assert label == (earlier[0] if earlier else len(firsts))
        firsts.setdefault(label, value)


@given(st.lists(st.none() | NUMERALS), st.integers(0, 20))
def test_later_values_never_change_earlier_classes(texts, cut):
    found = [None if text is None else Value(text, Rule.LAST_NUMBER) for text in texts]
    assert classes(found[:cut], Kind.NUMBER) == classes(found, Kind.NUMBER)[:cut]


def parts(units, places):
    """units / 10^places as sign, whole part and decimals."""
    whole, rest = divmod(abs(units), 10**places)
    return "-" * (units < 0), whole, f".{rest:0{places}d}" if places else ""


def plain(units, places):
    sign, whole, decimals = parts(units, places)
    return f"{sign}{whole}{decimals}"


def grouped(units, places):
    sign, whole, decimals = parts(units, places)
    return f"{sign}{whole:,}{decimals}"


STYLES = st.sampled_from(
    [
        plain,
        grouped,
        lambda units, places: grouped(units, places).replace("-", "-$"),
        lambda units, places: plain(units, places).replace("-", "\u2212"),
        lambda units, places: grouped(units, places).replace(",", "\u202f"),
        lambda units, places: f"{units}e-{places}",
        lambda units, places: f"{units}/{10**places}",
        lambda units, places: f"{'-' * (units < 0)}\\frac{{{abs(units)}}}{{{10**places}}}",
        lambda units, places: f"{plain(units, places)} dollars",
    ]
)


@given(DECIMALS, STYLES, STYLES)
def test_a_number_is_one_value_in_every_style(decimal, style, other):
    units, places = decimal
    form = canonical(style(units, places), Kind.NUMBER)
    assert Fraction(form) == Fraction(units, 10**places)
    assert form == canonical(other(units, places), Kind.NUMBER)


@given(st.fractions(max_denominator=10**6))
def test_fractions_are_exact(value):
    form = canonical(f"{value.numerator}/{value.denominator}", Kind.NUMBER)
    assert Fraction(form) == value
    assert ("/" in form) == (value.denominator != 1 and 10**40 % value.denominator != 0)


@given(DECIMALS)
def test_percentages_mean_two_things_and_no_third(decimal):
    text, value = plain(*decimal), Fraction(decimal[0], 10 ** decimal[1])
    assert same(f"{text}%", text, Kind.NUMBER)
    assert same(f"{text} percent", str(value / 100), Kind.NUMBER)
    assert same(f"{text}%", str(value * 100), Kind.NUMBER) == (value == 0)


@given(INTEGERS, INTEGERS)
def test_different_numbers_differ(a, b):
    assert same(str(a), f"{b:,}", Kind.NUMBER) == (a == b)


MARKERS = [  # in order of trust
    (Rule.HASHES, "#### {}"),
    (Rule.BOXED, "So \\boxed{{{}}} it is."),
    (Rule.ANSWER_IS, "The answer is {}."),
    (Rule.ANSWER_IS, "**Final answer:** {} in all"),
    (Rule.LAST_NUMBER, "That leaves {}."),
]
LINES = st.lists(st.tuples(st.sampled_from(MARKERS), INTEGERS), min_size=1, max_size=5)


@given(LINES)
def test_the_last_place_of_the_most_trusted_rule_wins(lines):
    text = "\n".join(marker.format(number) for (_, marker), number in lines)
    trusted = min((list(Rule).index(rule) for (rule, _), _ in lines))
    rule = list(Rule)[trusted]
    expected = [number for (found, _), number in lines if found is rule][-1]
    assert extract(text, Kind.NUMBER) == Value(str(expected), rule)


@given(
    st.sampled_from("ABCDEFGHJ"), st.sampled_from(["({})", "{}.", "option {}", "**{}**", "{}) Paris", "\\text{{({})}}"])
)
def test_choices_in_every_style(letter, style):
    assert extract(f"(I) or (J)? The answer is {style.format(letter)}", Kind.CHOICE) == Value(letter, Rule.ANSWER_IS)
    assert same(style.format(letter), letter, Kind.CHOICE)


@settings(max_examples=20)
@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9))
def test_cutting_an_answer_never_gives_another_one(a, b, c):
    text = f"Some thought.\nThe answer is {a} + {b}{c} = {a + 10 * b + c}.75 apples.\n"
    whole = extract(text, Kind.NUMBER)
    for end in range(text.index("answer"), len(text)):
        cut = extract(text[:end], Kind.NUMBER, truncated=True)
        assert cut is None or cut == whole
