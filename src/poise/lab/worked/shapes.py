"""Counting things: legs of animals, angles of polygons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def added(terms: Sequence[int]) -> list[str]:
    """The running total of a list, as lines."""
    total, lines = terms[0], []
    for term in terms[1:]:
        lines.append(f"{total} + {term} = {total + term}")
        total += term
    return lines


def legs(entry: Mapping[str, Any]) -> list[str] | None:
    """leg_counting: legs of each kind, then the running total. Leg counts are the family's own table."""
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    lines, counts = [], []
    for animal, number in entry["metadata"]["animals"].items():
        lines.append(f"{animal}: {number} * {ANIMALS[animal]} = {number * ANIMALS[animal]}")
        counts.append(number * ANIMALS[animal])
    return [*lines, *added(counts)] if str(sum(counts)) == str(entry["answer"]) else None


def angles(entry: Mapping[str, Any]) -> list[str] | None:
    """simple_geometry: the angle sum of the polygon, less the known angles."""
    sides, known = entry["metadata"]["n_sides"], entry["metadata"]["known_angles"]
    if any(angle != int(angle) for angle in known):
        return None
    whole, known = (sides - 2) * 180, [int(angle) for angle in known]
    rest = whole - sum(known)
    if str(rest) != str(entry["answer"]):
        return None
    return [f"({sides} - 2) * 180 = {whole}", *added(known), f"{whole} - {sum(known)} = {rest}"]
