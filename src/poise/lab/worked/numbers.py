"""Number theory written out: Euclid's divisions, common multiples, prime factors one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def euclid(entry: Mapping[str, Any]) -> list[str] | None:
    """gcd of two numbers: each remainder, until nothing is left."""
    numbers = entry["metadata"]["numbers"]
    if len(numbers) != 2:
        return None
    lines = remainders(max(numbers), min(numbers))
    return [*lines, f"The greatest common divisor is {entry['answer']}."]


def remainders(large: int, small: int) -> list[str]:
    """Euclid's divisions as lines."""
    lines = []
    while small:
        lines.append(f"{large} = {large // small} * {small} + {large % small}")
        large, small = small, large % small
    return lines


def multiples(entry: Mapping[str, Any]) -> list[str] | None:
    """lcm of two numbers through their greatest common divisor."""
    numbers = entry["metadata"]["numbers"]
    if len(numbers) != 2:
        return None
    large, small = max(numbers), min(numbers)
    shared = math.gcd(large, small)
    return [
        *remainders(large, small),
        f"gcd = {shared}",
        f"{small} / {shared} = {small // shared}",
        f"{large} * {small // shared} = {entry['answer']}",
    ]


def divisions(entry: Mapping[str, Any]) -> list[str] | None:
    """prime_factorization: divide by the smallest prime, again and again."""
    number, lines = entry["metadata"]["number"], []
    for factor in entry["metadata"]["factors"][:-1]:
        lines.append(f"{number} / {factor} = {number // factor}")
        number //= factor
    return [*lines, f"{number} is prime"]
