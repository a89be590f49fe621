"""Arithmetic written out: sums term by term, expressions rewritten one operation at a time, equations isolated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from poise.lab.worked import sums

_TOKEN = re.compile(r"\d+|[-+*/()]")
_NUMBER = re.compile(r"-?\d+")
_EQUATION = re.compile(r"[\d\w+\-* ]+ = -?\d+")


def running_total(entry: Mapping[str, Any]) -> list[str] | None:
    """chain_sum: the running total after each term."""
    terms = entry["metadata"]["expression"].split()
    total, lines = int(terms[0]), []
    for operator, term in zip(terms[1::2], terms[2::2], strict=True):
        new = total + int(term) if operator == "+" else total - int(term)
        lines.append(f"{total} {operator} {term} = {new}")
        total = new
    return lines if str(total) == str(entry["answer"]) else None


def product(entry: Mapping[str, Any]) -> list[str] | None:
    """products: long factors are split by digit, and the parts summed."""
    factors = [int(factor) for factor in _NUMBER.findall(entry["metadata"]["expression"])]
    total, lines = factors[0], []
    for factor in factors[1:]:
        lines += multiplied(total, factor)
        total *= factor
    return lines if str(total) == str(entry["answer"]) else None


def multiplied(left: int, right: int) -> list[str]:
    """The lines of one product."""
    parts = sums.product(str(left), str(right)) if left > 0 and right > 0 else []
    return [" = ".join([f"{left} * {right}", *parts, str(left * right)])]


def rewritten(entry: Mapping[str, Any]) -> list[str] | None:
    """basic_arithmetic: the expression again and again, one operation done each time. None where a quotient is not
    whole, or the text is no plain expression."""
    tokens = _signed(_TOKEN.findall(entry["metadata"]["expression"]))
    lines = []
    while len(tokens) > 1:
        tokens = _once(tokens) or []
        lines.append("= " + " ".join(tokens))
    return lines if tokens == [str(entry["answer"])] and lines else None


def _signed(tokens: list[str]) -> list[str]:
    """A minus that is a sign, joined to its number."""
    joined: list[str] = []
    for token in tokens:
        if joined and joined[-1] == "-" and token.isdigit() and (len(joined) == 1 or joined[-2] in "+-*/("):
            joined[-1] = f"-{token}"
        else:
            joined.append(token)
    return joined


def _once(tokens: list[str]) -> list[str] | None:
    """One operation done: innermost parentheses first, then by precedence, from the left."""
    end = tokens.index(")") if ")" in tokens else len(tokens)
    start = max((place for place in range(end) if tokens[place] == "("), default=-1)
    if (start < 0) != (end == len(tokens)):
        return None
    inner = tokens[start + 1 : end]
    place = next((p for p in range(1, len(inner), 2) if inner[p] in "*/"), 1)
    if len(inner) < 3:
        return None
    value = _operate(inner[place - 1], inner[place], inner[place + 1])
    if value is None:
        return None
    inner = [*inner[: place - 1], value, *inner[place + 2 :]]
    if start >= 0 and len(inner) > 1:
        return [*tokens[: start + 1], *inner, *tokens[end:]]
    return [*tokens[: max(start, 0)], *inner, *tokens[end + 1 :]]


def _operate(left: str, operator: str, right: str) -> str | None:
    if not (_NUMBER.fullmatch(left) and _NUMBER.fullmatch(right)):
        return None
    a, b = int(left), int(right)
    if operator == "/":
        return None if b == 0 or a % b else str(a // b)
    return str(a + b if operator == "+" else a - b if operator == "-" else a * b)


def isolated(entry: Mapping[str, Any]) -> list[str] | None:
    """simple_equations: constants to the right, then a division. None where the unknown stands more than once in a
    way that is not linear."""
    equation, name = entry["metadata"]["equation"], entry["metadata"]["variable"]
    left, _, right = equation.partition(" = ")
    if not _EQUATION.fullmatch(equation):
        return None
    linear = _linear(left, name)
    if linear is None:
        return None
    (slope, constant), said = linear, int(right)
    if slope == 0 or slope * int(entry["answer"]) + constant != said:
        return None
    plain = _term(slope, name) + _constant(constant)
    lines = [] if left == plain else [f"{plain} = {said}"]
    rest = said - constant
    if constant:
        lines.append(f"{_term(slope, name)} = {said} {'-' if constant > 0 else '+'} {abs(constant)} = {rest}")
    if slope != 1:
        lines.append(f"{name} = {rest} / {slope} = {entry['answer']}")
    return lines or [f"{name} = {entry['answer']}"]


def _term(slope: int, name: str) -> str:
    return name if slope == 1 else f"-{name}" if slope == -1 else f"{slope}*{name}"


def _constant(constant: int) -> str:
    return f" {'-' if constant < 0 else '+'} {abs(constant)}" if constant else ""


def _linear(text: str, name: str) -> tuple[int, int] | None:
    """Slope and constant of a sum of products in which the unknown stands at most once per product."""
    slope = constant = 0
    for sign, body in re.findall(r"([+-]?)\s*((?:-?[\w]+)(?:\*-?\w+)*)", text.replace(" * ", "*")):
        value, unknowns = -1 if sign == "-" else 1, 0
        for factor in body.split("*"):
            if factor.lstrip("-") == name:
                unknowns += 1
                value *= -1 if factor.startswith("-") else 1
            elif _NUMBER.fullmatch(factor):
                value *= int(factor)
            else:
                return None
        if unknowns > 1:
            return None
        slope, constant = (slope + value, constant) if unknowns else (slope, constant + value)
    return slope, constant
