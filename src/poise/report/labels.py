"""Labels beside points without overlap: a greedy search over places around each point, in pixels, y upwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Boxes: TypeAlias = npt.NDArray[np.float64]  # rows of centre x, centre y, width, height
_RADII = (4.0, 10.0, 20.0, 34.0, 52.0, 74.0)
_DEGREES = (135, 45, 90, 180, 0, 315, 225, 270, 112, 68, 158, 22, 338, 202)


class Box(NamedTuple):
    """A rectangle: centre and size."""

    x: float
    y: float
    width: float
    height: float


def place(points: Sequence[Box], sizes: Sequence[tuple[float, float]], frame: Box, lines: Sequence[Box]) -> list[Box]:
    """One box per point: as near as can be, inside `frame`, off the other labels and points, and off `lines` (boxes
    along them) where possible. The best of a few orders of choosing; each costs points x (points + lines)."""
    spots = _array(points)
    bases = [
        _bases(point, size, spots, _array([frame]), _array(lines)) for point, size in zip(points, sizes, strict=True)
    ]
    near = np.hypot(spots[:, :1] - spots[:, 0], spots[:, 1:2] - spots[:, 1])
    by = (-(1 / (20 + near)).sum(axis=0), spots[:, 0], -spots[:, 0], spots[:, 1], -spots[:, 1])
    orders = [np.argsort(key, kind="stable").tolist() for key in by]
    _, chosen = min((_greedy(bases, order) for order in orders), key=lambda found: found[0])
    return [Box(*chosen[index].tolist()) for index in range(len(points))]


def along(xs: Sequence[float], ys: Sequence[float], width: float = 10.0) -> list[Box]:
    """Boxes along a line through points, one per `width` pixels."""
    boxes = []
    for x0, y0, x1, y1 in zip(xs, ys, xs[1:], ys[1:], strict=False):
        steps = max(1, round(math.hypot(x1 - x0, y1 - y0) / width))
        boxes += [Box(x0 + (x1 - x0) * k / steps, y0 + (y1 - y0) * k / steps, width, width) for k in range(steps)]
    return boxes


def _greedy(bases: Sequence[tuple[Boxes, Boxes]], order: Sequence[int]) -> tuple[float, dict[int, Boxes]]:
    """Total badness and the label of each point, when points choose in this order."""
    chosen: dict[int, Boxes] = {}
    total = 0.0
    for index in order:
        places, badness = bases[index]
        badness = badness + 20 * _covered(places, np.array([*chosen.values()]).reshape(-1, 4))
        best = int(badness.argmin())
        chosen[index] = places[best]
        total += float(badness[best])
    return total, chosen


def _bases(
    point: Box, size: tuple[float, float], points: Boxes, frame: Boxes, lines: Boxes
) -> tuple[Boxes, npt.NDArray[np.float64]]:
    """Places around a point, and how bad each is before other labels are there."""
    width, height = size
    angles = np.radians(np.tile(_DEGREES, len(_RADII)))
    radii = np.repeat(_RADII, len(_DEGREES))
    x = point.x + np.cos(angles) * (radii + (point.width + width) / 2)
    y = point.y + np.sin(angles) * (radii + (point.height + height) / 2)
    places = np.stack([x, y, np.full_like(x, width), np.full_like(x, height)], axis=1)
    far = np.maximum(np.hypot(x - point.x, y - point.y) - width / 2, 0) / 60
    return places, 40 * (1 - _covered(places, frame)) + 12 * _covered(places, points) + 9 * _covered(
        places, lines
    ) + far


def _covered(places: Boxes, others: Boxes) -> npt.NDArray[np.float64]:
    """The share of each place that the others cover, summed over them."""
    shared = np.ones((len(places), len(others)))
    for axis in (0, 1):
        low, high = ((places[:, axis] + sign * places[:, axis + 2] / 2)[:, None] for sign in (-1, 1))
        least, most = (others[:, axis] + sign * others[:, axis + 2] / 2 for sign in (-1, 1))
        shared *= np.maximum(np.minimum(high, most) - np.maximum(low, least), 0)
    return np.asarray(shared.sum(axis=1) / (places[:, 2] * places[:, 3]))


def _array(boxes: Sequence[Box]) -> Boxes:
    return np.array(boxes, dtype=float).reshape(-1, 4)
