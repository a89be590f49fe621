"""Numbers in words: units, intervals and comparisons, the same in the terminal and on the page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from poise.evals.rows import Comparison, Interval, Summary

Show: TypeAlias = Callable[[float], str]
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MINUS = "\N{MINUS SIGN}"
_SI = ("", "k", "M", "G", "T", "P", "E", "Z")


def clean(text: str) -> str:
    """Untrusted text made safe to show: control, bidirectional and surrogate characters become U+FFFD."""
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))


def cut(text: str, width: int) -> str:
    """The first line that says something, cleaned, at most `width` characters long."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return clean(line if len(line) <= width else line[: width - 1] + "…")


def si(amount: float, unit: str = "") -> str:
    """Three significant digits with an SI prefix: 1.23 GFLOP."""
    if not math.isfinite(amount) or amount <= 0:
        return f"0 {unit}".strip() if amount == 0 else "-"
    power = min(max(math.floor(math.log10(amount) / 3), 0), len(_SI) - 1)
    shown = f"{amount / 1000**power:.3g}"
    if shown == "1e+03":
        power, shown = power + 1, "1"
    return f"{shown} {_SI[power]}{unit}".rstrip()


def seconds(span: float | None) -> str:
    """A span of time at a readable scale."""
    if span is None or not math.isfinite(span):
        return "-"
    if span < 1:
        return f"{span * 1000:.0f} ms" if span >= 0.0095 else f"{span * 1000:.2g} ms"
    if span < 120:
        return f"{span:.3g} s"
    minutes = round(span / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def times(ratio: float | None) -> str:
    """A ratio."""
    return "-" if ratio is None else f"{ratio:.2f}x"


def count(amount: float) -> str:
    """A count with thousands separators."""
    return "-" if not math.isfinite(amount) else f"{amount:,.0f}" if amount >= 10 else f"{amount:.3g}"


def percent(share: float) -> str:
    """A share as per cent with one decimal."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "-"


def points(share: float) -> str:
    """A signed difference of shares, in points."""
    return f"{100 * share:+.1f}".replace("-", _MINUS) if math.isfinite(share) else "-"


def bracket(interval: Interval, scale: float = 1.0, digits: int = 1) -> str:
    """The two ends of an interval: [2.1, 13.9]."""
    low, high = (f"{scale * end:.{digits}f}".replace("-", _MINUS) for end in (interval.low, interval.high))
    return f"[{low}, {high}]"


def probability(p: float) -> str:
    """A p-value as journals print it: = .011 or < .001."""
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")


class Verdict(Enum):
    """What a comparison shows at the 5 % level, after Holm."""

    BETTER = "more accurate"
    WORSE = "less accurate"
    OPEN = "no difference shown"


def verdict(comparison: Comparison) -> Verdict:
    """Which way the comparison falls; a p-value of .05 or more shows nothing either way."""
    if comparison.p_holm >= 0.05 or comparison.difference.mean == 0:
        return Verdict.OPEN
    return Verdict.BETTER if comparison.difference.mean > 0 else Verdict.WORSE


def sentence(comparison: Comparison, summary: Summary) -> str:
    """One comparison as one sentence, worded the same whichever way it falls."""
    holm = f", Holm p {probability(comparison.p_holm)}" if comparison.p_holm != comparison.p_value else ""
    ratio = comparison.cost_ratio
    digits = 2 if ratio.mean < 3 else 1 if ratio.mean < 100 else 0
    cost = f", at {ratio.mean:.{digits}f}x {bracket(ratio, digits=digits)} the {unit_word(summary)}"
    return (
        f"{clean(comparison.first)} against {clean(comparison.second)}{_accuracies(comparison, summary)} "
        f"(difference {points(comparison.difference.mean)} points {bracket(comparison.difference, 100)}, "
        f"n = {comparison.n}, exact McNemar p {probability(comparison.p_value)}{holm})"
        f"{cost if math.isfinite(ratio.mean) and ratio.mean > 0 else ''}."
    )


UNWEIGHED = "no scores or logprobs came to weigh drafts by"


def unweighed(summary: Summary) -> list[str]:
    """Of each arm that had to do without what it weighs drafts by, on how many questions."""
    return [
        f"{clean(arm.arm)}, {arm.unweighed:,} of {arm.n:,} questions: {UNWEIGHED}: this is not its method."
        for arm in summary.arms
        if arm.unweighed
    ]


def unit_word(summary: Summary) -> str:
    """What the cost axis counts."""
    return "FLOPs" if summary.cost == "flops" else "new tokens"


def _accuracies(comparison: Comparison, summary: Summary) -> str:
    arms = {arm.arm: arm for arm in summary.arms}
    first, second = arms.get(comparison.first), arms.get(comparison.second)
    if first is None or second is None or not first.n == second.n == comparison.n:
        return ""  # the comparison is over shared items only: accuracies over other items would mislead
    return f": {percent(first.accuracy.mean)} vs {percent(second.accuracy.mean)}"
