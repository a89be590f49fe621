"""Which answers are the same."""

from __future__ import annotations

from collections.abc import Sequence

from poise.answers import numbers
from poise.answers.forms import canonical
from poise.answers.symbolic import equivalent
from poise.core import Kind, Value


def same(a: str, b: str, kind: Kind) -> bool:
    """Whether two answers of one kind mean the same: exact equality of numbers (a percentage also equals its share
    and its bare number), letters, text up to case and spacing, or symbolic equality of expressions.

    Symmetric. Not transitive where a percentage is read in two ways. Cost: microseconds; expressions whose canonical
    forms differ take milliseconds, and imports SymPy once.
    """
    return _equal(_key(canonical(a, kind), kind), _key(canonical(b, kind), kind), kind)


def classes(values: Sequence[Value | None], kind: Kind) -> list[int]:
    """A class index per value, in first-seen order; -1 for None. A value joins the first class whose first member it
    is the same as, so the classes of a prefix never change when more values come."""
    indices: list[int] = []
    firsts: list[str] = []
    known: dict[str, int] = {}
    for value in values:
        if value is None:
            indices.append(-1)
            continue
        key = _key(value.text, kind)
        index = known.get(key)
        if index is None:
            index = next((i for i, first in enumerate(firsts) if _equal(first, key, kind)), len(firsts))
            known[key] = index
            if index == len(firsts):
                firsts.append(key)
        indices.append(index)
    return indices


def _key(form: str, kind: Kind) -> str:
    return form if kind is Kind.EXPRESSION else " ".join(form.split()).casefold()


def _equal(a: str, b: str, kind: Kind) -> bool:
    if a == b:
        return True
    if kind not in (Kind.NUMBER, Kind.EXPRESSION):
        return False
    if "%" in a + b and (a in numbers.readings(b) or b in numbers.readings(a)):
        return True
    if kind is Kind.NUMBER or (numbers.exact(a) == a and numbers.exact(b) == b):
        return False
    return equivalent(*sorted((a, b)))
