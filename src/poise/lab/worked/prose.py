"""Prose solutions of others (GSM8K, gsm_symbolic) made uniform: one step a line, sums that are right, hard products
unfolded into easy ones, and a last line `#### value`."""

from __future__ import annotations

import re

from poise.lab.worked.sums import shown

_CALCULATOR = re.compile(r"<<[^>]*>>")  # GSM8K's calculator marks repeat the sum beside them
_WHOLE_FLOAT = re.compile(r"(?<![\d.])(\d+)\.0+(?!\d)")
_BULLET = re.compile(r"^(?:[-•*]|\d+[.)]|Step \d+[:.)])\s+")
_HEADING = re.compile(r"^(?:Let's|Let us) .*:$|^[A-Z][\w ]+:$")
_LONG_DECIMAL = re.compile(r"\.\d{4,}")
_TIMES = r"*x\u00d7"
_BEFORE = rf"(?<![\d.,/{_TIMES}+\-] )(?<![\d.,/{_TIMES}+\-(])"
_SUM = re.compile(_BEFORE + rf"(\d+) ?([{_TIMES}+\-/]) ?(\d+) ?= ?[$€£]?(\d[\d,]*(?:\.\d+)?)")


def polished(text: str) -> str | None:
    """The solution in our form; None where it has no last value, a sum that is wrong, or decimals without end."""
    body, mark, value = text.rpartition("####")
    value = value.strip().replace(",", "").removeprefix("$")
    if not mark or not value or _LONG_DECIMAL.search(text):
        return None
    value = _WHOLE_FLOAT.sub(r"\1", value)
    lines = []
    for raw in _WHOLE_FLOAT.sub(r"\1", _CALCULATOR.sub("", body)).splitlines():
        line = _BULLET.sub("", " ".join(raw.split()))
        if line and not _HEADING.match(line):
            lines.append(line)
    if not lines or not all(sums_hold(line) for line in lines):
        return None
    return "\n".join([*(shown(line) for line in lines), f"#### {value}"])


def sums_hold(line: str) -> bool:
    """Whether every plain `a op b = c` of a line is right, to within rounding."""
    return all(_holds(*found.groups()) for found in _SUM.finditer(line))


def _holds(left: str, operator: str, right: str, said: str) -> bool:
    a, b, c = float(left), float(right), float(said.replace(",", ""))
    if operator == "/" and b == 0:
        return False
    value = {"+": a + b, "-": a - b, "/": a / b if b else 0.0}.get(operator, a * b)
    return abs(value - c) <= 0.5 or abs(value * 100 - c) <= 0.5  # a share that is told in percent
