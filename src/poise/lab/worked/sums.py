"""Sums in prose, written so that each step is easy: operators in one form, long products and divisions taken apart by
digits, the running total of a long addition. What is not exactly right, or not a plain sum, stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

_NUMBER = r"[$€£]?\d+(?:\.\d+)?"
_WORD = r"(?!x\b)[A-Za-z]+(?:/[A-Za-z]+)*"
_TERM = rf"{_NUMBER}(?: ?{_WORD}(?: {_WORD}){{0,2}})?"
_SIGN = r"[-+*/x\u00d7]"
_OPERATOR = rf" ?{_SIGN} ?"
_NOT_AFTER = r"(?<![\d.,/*x\u00d7+\-] )(?<![\w.,/*\u00d7+\-()])"
_EQUATION = re.compile(rf"{_NOT_AFTER}({_TERM}(?:{_OPERATOR}{_TERM})+) ?= ?([$€£]?)(\d+(?:\.\d+)?)(?![\d.%]*\d)(?!%)")
_PIECE = re.compile(rf"({_NUMBER})((?: ?{_WORD}(?: {_WORD}){{0,2}})?)(?: ?({_SIGN}) ?)?")
_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


def shown(line: str) -> str:
    """A line of prose with its sums written out: "23 boxes x $14 = $322" becomes
    "23 boxes * $14 = 23 * 10 + 23 * 4 = 230 + 92 = $322"."""
    return _EQUATION.sub(_shown, _COMMA.sub("", line))


def _shown(found: re.Match[str]) -> str:
    left, sign, said = found.groups()
    pieces = [(number.lstrip("$€£"), operator) for number, _, operator in _PIECE.findall(left)]
    numbers = [number for number, _ in pieces]
    operators = [_written(operator) for _, operator in pieces[:-1]]
    side = "".join(_side(found) for found in _PIECE.finditer(left))
    middle = ""
    if _value(numbers, operators) == Fraction(said):
        middle = " = ".join(steps(numbers, operators))
    return f"{side} = {middle} = {sign}{said}" if middle else f"{side} = {sign}{said}"


def _side(found: re.Match[str]) -> str:
    number, unit, operator = found.groups()
    return number + unit + (f" {_written(operator)} " if operator else "")


def _written(operator: str) -> str:
    return "*" if operator in "x\u00d7" else operator


def _value(numbers: Sequence[str], operators: Sequence[str]) -> Fraction | None:
    """What the side comes to, products before sums; None for a division by zero."""
    terms = [Fraction(numbers[0])]
    for operator, text in zip(operators, numbers[1:], strict=True):
        number = Fraction(text)
        if operator == "/" and not number:
            return None
        if operator in "+-":
            terms.append(number if operator == "+" else -number)
        else:
            terms[-1] = terms[-1] * number if operator == "*" else terms[-1] / number
    return sum(terms, Fraction(0))


def steps(numbers: Sequence[str], operators: Sequence[str]) -> list[str]:
    """The sides to write between a sum and its value; none where it is easy, or of a shape not known here."""
    if len(numbers) > 2 and set(operators) <= {"+", "-"}:
        return _running(numbers, operators)
    if operators == ["*"]:
        return product(numbers[0], numbers[1])
    if operators == ["/"]:
        return quotient(numbers[0], numbers[1])
    if operators == ["*", "/"]:
        return _share(*numbers)
    return []


def product(left: str, right: str) -> list[str]:
    """A product of two long numbers as a sum of easy ones: "47", "36" give "47 * 30 + 47 * 6" and "1410 + 282"; nothing
    where one factor has a single digit that counts."""
    if _digits(left) < _digits(right):
        left, right = right, left
    if _digits(right) < 2 or _digits(left) > 5:
        return []
    parts = _places(Fraction(right))
    return [" + ".join(f"{left} * {_plain(part)}" for part in parts), _added(Fraction(left) * part for part in parts)]


def quotient(left: str, right: str) -> list[str]:
    """A division with a long quotient, digit by digit of it: "456", "12" give "360 / 12 + 96 / 12" and "30 + 8"."""
    whole = Fraction(left) / Fraction(right)
    if whole.denominator != 1 or "." in left + right or _digits(str(whole)) < 2 or _digits(right) > 3:
        return []
    if _digits(right) < 2 and _digits(left) < 2:
        return []
    parts = _places(whole)
    return [" + ".join(f"{_plain(part * Fraction(right))} / {right}" for part in parts), _added(parts)]


def _share(amount: str, upper: str, lower: str) -> list[str]:
    """a * b / c, by way of a / c where that is whole, else of a * b."""
    first = Fraction(amount) / Fraction(lower)
    if first.denominator == 1:
        return [f"{_plain(first)} * {upper}", *product(_plain(first), upper)]
    whole = Fraction(amount) * Fraction(upper)
    inner = [f"({each}) / {lower}" for each in product(amount, upper)]
    return [*inner, f"{_plain(whole)} / {lower}"] if _exact(whole) else []


def _running(numbers: Sequence[str], operators: Sequence[str]) -> list[str]:
    """The totals so far: 4 + 5 + 6 + 7 gives "9 + 6 + 7" and "15 + 7"; nothing where one would be below zero."""
    total, sides = Fraction(numbers[0]), []
    for at in range(1, len(numbers) - 1):
        total += Fraction(numbers[at]) * (1 if operators[at - 1] == "+" else -1)
        if total < 0:
            return []
        rest = "".join(
            f" {operator} {number}" for operator, number in zip(operators[at:], numbers[at + 1 :], strict=True)
        )
        sides.append(_plain(total) + rest)
    return sides


def _places(number: Fraction) -> list[Fraction]:
    """A number by its digits that count: 305 as 300 and 5, 7.5 as 7 and .5."""
    whole, _, below = _plain(number).partition(".")
    text, lowest = whole + below, len(below)
    return [
        Fraction(int(digit) * 10 ** (len(text) - place - 1), 10**lowest)
        for place, digit in enumerate(text)
        if digit != "0"
    ]


def _added(parts: Iterable[Fraction]) -> str:
    return " + ".join(_plain(part) for part in parts)


def _exact(number: Fraction) -> bool:
    return (number * 1000).denominator == 1


def _plain(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.6f}".rstrip("0")


def _digits(number: str) -> int:
    return len(number.replace(".", "").strip("0"))
