"""Worked solutions: one short line a step, ending in `#### value`. A writer is a pure function of a generated entry.

A writer returns None where it has no way to show the work (that item is then left out), never a wrong solution: the
value that its lines arrive at is checked against the truth by `solution`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from poise.errors import UnknownName
from poise.lab.worked import calendar, expressions, numbers, shapes
from poise.lab.worked.prose import polished

Entry: TypeAlias = Mapping[str, Any]
Writer: TypeAlias = Callable[[Entry], list[str] | None]

WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "basic_arithmetic": expressions.rewritten,
        "calendar_arithmetic": calendar.weekdays,
        "chain_sum": expressions.running_total,
        "gcd": numbers.euclid,
        "lcm": numbers.multiples,
        "leg_counting": shapes.legs,
        "prime_factorization": numbers.divisions,
        "products": expressions.product,
        "simple_equations": expressions.isolated,
        "simple_geometry": shapes.angles,
    }
)


def solution(family: str, entry: Entry) -> str | None:
    """The worked solution of a reasoning-gym entry: the family's own where it has one, else our writer's; None where
    neither can show this item. Raises UnknownName for a family without a writer."""
    own = entry["metadata"].get("answer_cot")
    if own is not None:
        return polished(own)
    if family not in WRITERS:
        raise UnknownName("family with worked solutions", family, ("gsm_symbolic", *WRITERS))
    lines = WRITERS[family](entry)
    if lines is None:
        return None
    return "\n".join([*lines, f"#### {entry['answer']}"])
