"""Labels beside points without overlap: a greedy search over places around each point, in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_RADII = (4.0, 10.0, 20.0, 34.0, 52.0, 74.0)
_ANGLES = tuple(math.radians(degrees) for degrees in (135, 45, 90, 180, 0, 315, 225, 270, 112, 68, 158, 22, 338, 202))


class Box(NamedTuple):
    """A rectangle: centre and size; y grows upwards."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """The shared area."""
        across = min(self.x + self.width / 2, other.x + other.width / 2) - max(
            self.x - self.width / 2, other.x - other.width / 2
        )
        along = min(self.y + self.height / 2, other.y + other.height / 2) - max(
            self.y - self.height / 2, other.y - other.height / 2
        )
        return max(across, 0.0) * max(along, 0.0)


def place(points: Sequence[Box], sizes: Sequence[tuple[float, float]], frame: Box, lines: Sequence[Box]) -> list[Box]:
    """One box per point: as near as can be, inside `frame`, off the other labels and points, and off `lines` (thin boxes:
    error bars, a staircase) where possible. Crowded points choose first. Quadratic in points."""
    order = sorted(range(len(points)), key=lambda i: -_crowd(points, i))
    placed: dict[int, Box] = {}
    for index in order:
        others = [*placed.values()]
        placed[index] = min(
            _candidates(points[index], sizes[index]),
            key=lambda c: _badness(c, points[index], points, others, frame, lines),
        )
    return [placed[index] for index in range(len(points))]


def _crowd(points: Sequence[Box], index: int) -> float:
    here = points[index]
    return sum(1 / (20 + math.hypot(here.x - p.x, here.y - p.y)) for p in points)


def _candidates(point: Box, size: tuple[float, float]) -> list[Box]:
    width, height = size
    found = []
    for radius in _RADII:
        for angle in _ANGLES:
            across, up = math.cos(angle), math.sin(angle)
            x = point.x + across * (radius + point.width / 2 + width / 2)
            y = point.y + up * (radius + point.height / 2 + height / 2)
            found.append(Box(x, y, width, height))
    return found


def _badness(
    label: Box, own: Box, points: Sequence[Box], labels: Sequence[Box], frame: Box, lines: Sequence[Box]
) -> float:
    area = label.width * label.height
    outside = area - label.overlap(frame)
    far = math.hypot(label.x - own.x, label.y - own.y) - label.width / 2
    return (
        40 * outside
        + 20 * sum(label.overlap(other) for other in labels)
        + 12 * sum(label.overlap(point) for point in points)
        + 4 * sum(label.overlap(line) for line in lines)
    ) / area + max(far, 0) / 60
