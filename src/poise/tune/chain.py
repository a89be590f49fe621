"""Which of the prompts that were accepted along the way may be on the front, by what their races saw. Pure.

A race compares a prompt with the one before it only, so where a prompt stands is a sum of such steps: noisy, and good
enough to choose whom to judge, no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """A prompt that was accepted: its accuracy above that of the prompt before it (a share), and its tokens over those
    of that prompt."""

    prompt: str
    gain: float
    ratio: float


def most_accurate(initial: str, links: Sequence[Link], most: int) -> list[str]:
    """The initial prompt, then at most so many others, each once, by the accuracy that their races saw; of equals the
    later."""
    stands = _stands(initial, links)
    found = sorted(reversed(stands), key=lambda prompt: -stands[prompt][0])
    return [initial, *found[:most]]


def on_the_front(initial: str, links: Sequence[Link], most: int) -> list[str]:
    """The initial prompt, then at most so many others, each once: the last that was accepted, those that no other is
    both as accurate as and as short as, those that only these are, and so on; of equals the later."""
    stands = _stands(initial, links)
    order = list(reversed(stands))
    found = order[:1]
    left = order[1:]
    while left:
        layer = [one for one in left if not any(_beats(stands[other], stands[one]) for other in left)]
        found += layer
        left = [one for one in left if one not in layer]
    return [initial, *found[:most]]


def _stands(initial: str, links: Sequence[Link]) -> dict[str, tuple[float, float]]:
    """Accuracy and log of the size above those of the initial prompt, of the others, in the order of their acceptance;
    what is met again stands where it was met last."""
    stands: dict[str, tuple[float, float]] = {}
    accuracy, size = 0.0, 0.0
    for link in links:
        accuracy, size = accuracy + link.gain, size + math.log(link.ratio) if link.ratio > 0 else size
        stands.pop(link.prompt, None)
        stands[link.prompt] = (accuracy, size)
    stands.pop(initial, None)
    return stands


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] >= other[0] and one[1] <= other[1] and one != other
