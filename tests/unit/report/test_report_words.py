import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poise.evals.rows import Comparison, Interval, Summary
from poise.report import words


def test_clean_keeps_text_and_drops_what_a_terminal_would_obey():
    assert words.clean("a\x1b[2Jb\u202ec\ud800\rd") == "a\ufffd[2Jb\ufffdc\ufffd\ufffdd"
    assert words.clean("é\u00a0한\t👩‍🔬\r\n") == "é\u00a0한\t👩‍🔬\n"


def test_cut_takes_the_first_line_that_says_something():
    assert words.cut("\n  \n  first line here \nsecond", 40) == "first line here"
    assert words.cut("abcdefgh", 5) == "abcd…"
    assert words.cut("", 5) == ""


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0, "0 FLOP"), (999, "999 FLOP"), (999.9, "1 kFLOP"), (1.234e10, "12.3 GFLOP"), (5e23, "500 ZFLOP"), (-1, "-")],
)
def test_si(amount, shown):
    assert words.si(amount, "FLOP") == shown


@pytest.mark.parametrize(
    ("span", "shown"),
    [(0.0001, "0.1 ms"), (0.25, "250 ms"), (1.234, "1.23 s"), (119, "119 s"), (180, "3 min"), (7300, "2 h 2 min"),
     (None, "-"), (math.inf, "-")],
)  # fmt: skip
def test_seconds(span, shown):
    assert words.seconds(span) == shown


@given(st.floats(1e-3, 1e23))
def test_si_keeps_three_digits(amount):
    number, *unit = words.si(amount).split()
    scale = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Z": 1e21}[unit[0] if unit else ""]
    assert float(number) * scale == pytest.approx(amount, rel=0.006)


def test_p_values_read_like_a_journal():
    assert [words.probability(p) for p in (0.0004, 0.011, 1.0)] == ["< .001", "= .011", "= 1.000"]


def comparison(difference, p, holm, n=150):
    return Comparison("vote", "direct", n, 21, 9, p, holm, difference, Interval(7.9, 7.6, 8.2))


def summary(*comparisons):
    return Summary((), (), Interval(0, 0, 0), 1.0, "flops", 0.5, comparisons)


def test_a_comparison_is_one_sentence_and_the_same_whichever_way_it_falls():
    better = comparison(Interval(0.08, 0.021, 0.139), 0.011, 0.022)
    assert words.sentence(better, summary(better)) == (
        "vote against direct (difference +8.0 points [2.1, 13.9], n = 150, exact McNemar p = .011, Holm p = .022), "
        "at 7.9x [7.6, 8.2] the FLOPs."
    )
    worse = comparison(Interval(-0.08, -0.139, -0.021), 0.011, 0.011)
    assert "difference \u22128.0 points [\u221213.9, \u22122.1]" in words.sentence(worse, summary(worse))
    assert "Holm" not in words.sentence(worse, summary(worse))


def test_a_verdict_needs_the_corrected_p_value():
    gain = Interval(0.08, 0.021, 0.139)
    assert words.verdict(comparison(gain, 0.011, 0.022)) is words.Verdict.BETTER
    assert words.verdict(comparison(gain, 0.011, 0.06)) is words.Verdict.OPEN
    assert words.verdict(comparison(Interval(-0.08, -0.1, -0.01), 0.01, 0.02)) is words.Verdict.WORSE


def test_accuracies_are_told_only_over_the_same_items(reading):
    told = words.sentence(reading.summary.comparisons[0], reading.summary)
    first, second = (arm for arm in reading.summary.arms if arm.arm in ("self_consistency:n=8", "direct"))
    assert f"{words.percent(second.accuracy.mean)} vs {words.percent(first.accuracy.mean)}" in told
