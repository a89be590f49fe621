"""What is read out of a text, by which rule, and which answers are the same."""

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from poise.answers import canonical, classes, extract, same, symbolic
from poise.core import Kind, Rule, Value

NUMBER, CHOICE, EXPRESSION, TEXT = Kind.NUMBER, Kind.CHOICE, Kind.EXPRESSION, Kind.TEXT

NUMBERS = {
    "42": "42",
    "007": "7",
    "-0": "0",
    "3.0": "3",
    ".5": "0.5",
    "0.50": "0.5",
    "-3": "-3",
    "\u22123.25": "-3.25",
    "$5": "5",
    "-$5": "-5",
    "$-5": "-5",
    "£1,000": "1000",
    "5 dollars": "5",
    "**5**": "5",
    "x = 5": "5",
    "1,234.50": "1234.5",
    "10,000,000": "10000000",
    "12,34,567": "1234567",
    "1'234": "1234",
    "1_000": "1000",
    "1\u202f234": "1234",
    "1{,}234": "1234",
    "1\\,234": "1234",
    "1.234.567,89": "1234567.89",
    "1.234,5": "1234.5",
    "3,14": "3.14",
    "0,125": "0.125",
    "1/2": "0.5",
    "2/6": "1/3",
    "-18/20": "-0.9",
    "2 1/2": "2.5",
    "\\frac{1}{3}": "1/3",
    "-\\dfrac{1}{2}": "-0.5",
    "2\\frac12": "2.5",
    "50%": "50%",
    "50.0 percent": "50%",
    "50\\%": "50%",
    "1.5e3": "1500",
    "2E-2": "0.02",
    "1.5 \u00d7 10^3": "1500",
    "1.5 \\times 10^{-3}": "0.0015",
    "4 + 3 = 7": "7",
    "16 - 3 = 13 eggs": "13",
    "5 x 3 = 15": "15",
    "2x = 10, so x = 5": "5",
    "5 because 2 + 2 = 4": "5",
    "7 (that is 4 + 3 = 7)": "7",
}

# Nothing that a careful reader would call one number.
NOT_NUMBERS = ("H2O", "1,2,3", "1234,567", "1.2.3", "12/05/2024", "1/0", "4 + 3", "2**10", "4 + 3 =", "7" * 500, "")


@pytest.mark.parametrize(("text", "form"), NUMBERS.items())
def test_numbers_have_one_exact_form(text, form):
    assert canonical(text, NUMBER) == form
    assert extract(f"So the answer is {text}.", NUMBER) == Value(form, Rule.ANSWER_IS)


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_ambiguous_digits_are_not_numbers(text):
    assert canonical(text, NUMBER) == text
    assert extract(f"The answer is {text}\n", NUMBER, truncated=True) is None


NUMBER_TEXTS = [
    ("9 eggs.\n#### 18", "18", Rule.HASHES),
    ("#### 18\n\\boxed{9} and the answer is 7", "18", Rule.HASHES),
    ("#### Step 1: add\n5 + 5 = 10", "10", Rule.LAST_NUMBER),
    ("##### 4\nIt is 5", "5", Rule.LAST_NUMBER),
    ("The answer is 7, so \\boxed{9}.", "9", Rule.BOXED),
    ("\\boxed{\\text{about } 18}", "18", Rule.BOXED),
    ("\\boxed{1} then \\boxed{\\frac{1}{2}} then \\boxed{3", "0.5", Rule.BOXED),
    ("The answer is 3. No: the final answer is: $1,200.", "1200", Rule.ANSWER_IS),
    ("**Answer:** 5 of 12", "5", Rule.ANSWER_IS),
    ("**Answer**\n: 5", "5", Rule.LAST_NUMBER),
    ("ANSWER: 5 of 12", "5", Rule.ANSWER_IS),
    ("Answer:\n\n42\n", "42", Rule.ANSWER_IS),
    ("The answer to the second question is 8 (2 of 4).", "8", Rule.ANSWER_IS),
    ("The answer is 12. How the answer is found is another question", "12", Rule.ANSWER_IS),
    ("The answer is 4 + 3 = 7. And 1 + 1 = 2.", "7", Rule.ANSWER_IS),
    ("So 4 + 3 = 7", "7", Rule.LAST_NUMBER),
    ("It is 7.\n\n2. A last remark", "7", Rule.LAST_NUMBER),
    ("It is 7.\nStep 3: done", "7", Rule.LAST_NUMBER),
    ("1. First\n2. 3 + 4 = 7", "7", Rule.LAST_NUMBER),
    ("I sold 10-3 of them at $2 each", "2", Rule.LAST_NUMBER),
]


@pytest.mark.parametrize(("text", "form", "rule"), NUMBER_TEXTS)
def test_the_most_trusted_rule_finds_the_number(text, form, rule):
    assert extract(text, NUMBER) == Value(form, rule)


def test_no_number_is_no_value():
    assert extract("I do not know.", NUMBER) is None
    assert extract("1. First\n2. Second", NUMBER) is None


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("The answer is 42", None),  # it may have been going to be 420
        ("The answer is 42.", None),  # or 42.5
        ("The answer is 42.\n", "42"),
        ("The answer is 42 apples and", "42"),
        ("The answer is 4 + 3", None),
        ("The answer is 4 + 3 = 7 ap", "7"),
        ("The answer is \\frac{1}{", None),
        ("The answer is 7. The answer is", "7"),
        ("#### 12", None),
        ("#### 12\n", "12"),
        ("\\boxed{12", None),
        ("\\boxed{12}", "12"),
        ("He has 5 and 6", None),
    ],
)
def test_a_cut_draft_is_trusted_only_where_complete(text, form):
    value = extract(text, NUMBER, truncated=True)
    assert (value and value.text) == form


@pytest.mark.parametrize(
    ("text", "letter", "rule"),
    [
        ("The answer is (B).", "B", Rule.ANSWER_IS),
        ("The answer is B because A is wrong", "B", Rule.ANSWER_IS),
        ("The answer is A because of that", "A", Rule.ANSWER_IS),
        ("The answer is option (c) here", "C", Rule.ANSWER_IS),
        ("The answer is most likely (C) Paris", "C", Rule.ANSWER_IS),
        ("The answer is b.", "B", Rule.ANSWER_IS),
        ("The answer is (D", "D", Rule.ANSWER_IS),
        ("Correct answer: **B) Paris**", "B", Rule.ANSWER_IS),
        ("\\boxed{\\text{(D)}}", "D", Rule.BOXED),
        ("#### E", "E", Rule.HASHES),
        ("I would take option C here", "C", Rule.CHOICE),
        ("Not (A), rather (B)", "B", Rule.CHOICE),
        ("A. The cat", "A", Rule.CHOICE),
        ("Let me see.\nC", "C", Rule.CHOICE),
        ("b", "B", Rule.CHOICE),
    ],
)
def test_choices(text, letter, rule):
    assert extract(text, CHOICE) == Value(letter, rule)


@pytest.mark.parametrize(
    "text", ["The answer is A dog", "The answer is Paris", "f(x) is it", "two apple(s)", "I'd say so"]
)
def test_words_are_not_choices(text):
    assert extract(text, CHOICE) is None


@pytest.mark.parametrize(("text", "letter"), [("The answer is B", None), ("The answer is (B)", "B"), ("(B) it", None)])
def test_a_cut_choice(text, letter):
    value = extract(text, CHOICE, truncated=True)
    assert (value and value.text) == letter


@pytest.mark.parametrize(
    ("text", "form", "rule"),
    [
        ("The answer is $x^2 + 1$ for all x.", "x^2+1", Rule.ANSWER_IS),
        ("The answer is -2*a**2. Check it", "-2*a^2", Rule.ANSWER_IS),
        ("The answer is x = 5. So be it", "x=5", Rule.ANSWER_IS),
        ("Thus \\boxed{x^{2} + \\dfrac{1}{2}}", "x^{2}+\\frac{1}{2}", Rule.BOXED),
        ("\\boxed{\\frac{1}{2}}", "0.5", Rule.BOXED),
        ("The answer is \\(\\left(1, 2\\right)\\).", "(1,2)", Rule.ANSWER_IS),
        ("3*x + 1", "3*x+1", Rule.WHOLE_TEXT),
        ("That makes it 42 then", "42", Rule.LAST_NUMBER),
    ],
)
def test_expressions(text, form, rule):
    assert extract(text, EXPRESSION) == Value(form, rule)


@pytest.mark.parametrize(
    ("text", "form", "rule"),
    [
        ("So the answer is **No**.", "No", Rule.ANSWER_IS),
        ("The answer is Paris. It lies on the Seine.", "Paris", Rule.ANSWER_IS),
        ("The answer is Dr. Smith", "Dr. Smith", Rule.ANSWER_IS),
        ("#### Summary\nIt rained.", "#### Summary\nIt rained", Rule.WHOLE_TEXT),
        ("It rained.\n#### wet", "wet", Rule.HASHES),
        (' "True." ', "True", Rule.WHOLE_TEXT),
    ],
)
def test_texts(text, form, rule):
    assert extract(text, TEXT) == Value(form, rule)


def test_cut_text_needs_the_end_of_its_sentence():
    assert extract("The answer is New", TEXT, truncated=True) is None
    assert extract("The answer is New York. It", TEXT, truncated=True) == Value("New York", Rule.ANSWER_IS)
    assert extract("The answer is x + 1", EXPRESSION, truncated=True) is None


def test_a_percentage_equals_its_share_and_its_number():
    assert same("50%", "0.5", NUMBER)
    assert same("50", "50%", NUMBER)
    assert not same("50", "0.5", NUMBER)
    assert not same("n%", "m%", NUMBER)
    assert same("50\\%", "\\frac12", EXPRESSION)


def test_text_is_compared_without_case_spacing_and_quotes():
    assert same("'Yes.'", "yes", TEXT)
    assert same("two  words", "Two words", TEXT)
    assert not same("yes", "no", TEXT)
    assert same("(b)", "B", CHOICE)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("x**2 + 3*x", "x(x+3)", True),
        ("\\frac{\\sqrt{2}}{2}", "1/sqrt(2)", True),
        ("\\{1, 2\\}", "2, 1", True),
        ("x = 5", "5", True),
        ("(1,2)", "(2,1)", False),
        ("x + 1", "x + 2", False),
        ("foo bar", "bar foo", False),  # not products of letters
        ("9^{9^9}", "9^{9^9} + 1", False),  # not to be evaluated
    ],
)
def test_expressions_are_compared_symbolically(a, b, equal):
    assert same(a, b, EXPRESSION) is same(b, a, EXPRESSION) is equal


async def test_symbolic_comparison_works_in_any_thread_and_in_a_running_loop():
    pairs = [(f"{n}(x+1)", f"{n}x+{n}") for n in range(2, 6)]
    assert same(*pairs[0], EXPRESSION)
    assert all(await asyncio.gather(*(asyncio.to_thread(same, a, b, EXPRESSION) for a, b in pairs[1:])))


def test_symbolic_comparison_has_a_time_limit(monkeypatch):
    monkeypatch.setattr(symbolic, "_SECONDS", 0.0)
    before = sys.gettrace()
    assert not same("7(x+y)", "7x+7y", EXPRESSION)
    assert sys.gettrace() is before
    symbolic.equivalent.cache_clear()


def test_the_time_limit_stops_code_of_another_thread():
    def spin():
        while True:
            sum(n for n in range(10))

    def timed():
        with pytest.raises(symbolic._TimeUp), symbolic._within(0.05):
            spin()
        ended.set()

    ended = threading.Event()
    threading.Thread(target=timed).start()
    assert ended.wait(10)


def test_without_math_verify_expressions_compare_as_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    symbolic.equivalent.cache_clear()
    assert same("x + 1", "x+1", EXPRESSION)
    assert not same("x + 1", "1 + x", EXPRESSION)
    symbolic.equivalent.cache_clear()


def values(*texts):
    return [None if text is None else Value(text, Rule.LAST_NUMBER) for text in texts]


def test_classes_are_numbered_as_first_seen():
    assert classes(values("5", None, "7", "5", "6", "7"), NUMBER) == [0, -1, 1, 0, 2, 1]
    assert classes([], NUMBER) == []
    assert classes(values("Yes", "no", "yes"), TEXT) == [0, 1, 0]
    assert classes(values("x+1", "2", "1+x"), EXPRESSION) == [0, 1, 0]


def test_a_percentage_joins_the_class_seen_first():
    assert classes(values("50", "50%", "0.5"), NUMBER) == [0, 0, 1]
    assert classes(values("50%", "50", "0.5"), NUMBER) == [0, 0, 0]


PIECES = (
    *("a", "1", "1,", "\n", "{", "$", "*", " ", "(a)", "A.\n", "\u00e9", "\\(", "5 %", "1/", "1.1e1 ", "1 x 10^ "),
    *("answer is ", "answer to ", "answer:\n", "answer is 1 + 1 = ", "####", "#### \n", "Step 1\n"),
    *("\\boxed{", "\\frac{1}{"),
)


@pytest.mark.parametrize("kind", Kind)
def test_a_megabyte_costs_no_more_than_a_page(kind):
    slow = {}
    for piece in PIECES:
        text = "the answer is " + piece * (1_000_000 // len(piece))
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            extract(text, kind)
            seconds.append(time.perf_counter() - began)
        if min(seconds) > 0.1:
            slow[piece] = min(seconds)
    assert slow == {}


@pytest.mark.skipif("POISE_TEST_DATA" not in os.environ, reason="POISE_TEST_DATA is not set")
def test_every_gsm8k_truth_is_read_exactly():
    lines = Path(os.environ["POISE_TEST_DATA"], "gsm8k", "test.jsonl").read_text(encoding="utf-8").splitlines()
    solutions = [json.loads(line)["answer"] for line in lines]
    truths = [solution.rpartition("####")[2].strip().replace(",", "") for solution in solutions]
    assert len(truths) == 660
    assert [extract(solution, NUMBER) for solution in solutions] == [Value(truth, Rule.HASHES) for truth in truths]
