"""A head that reads hidden states: a small network, its calibration, and the card that says what it was trained for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import ModelError
from poise.models.safetensors_file import open_safetensors

Array = NDArray[np.float32]
FILE, CARD = "head.safetensors", "head.json"


@dataclass(frozen=True, slots=True)
class HeadCard:
    """What a head is for. `model`: the policy whose hidden states it reads; `layers`: after which (none: only
    `surprise`); `pooled`: whether the mean over the text so far stands beside the position's own state; `surprise`:
    whether what the policy thinks of each token does; `measured`: figures with n and intervals, as text by name."""

    kind: str
    model: str
    layers: tuple[int, ...]
    pooled: bool = True
    surprise: bool = False
    measured: tuple[tuple[str, str], ...] = ()

    def depth(self, layers: int) -> int:
        """How many layers of a policy that has `layers` are run for it."""
        return layers if self.surprise else max(self.layers)

    def features(self, width: int) -> int:
        """How many numbers a place gives, for a policy of this width."""
        return width * len(self.layers) * (2 if self.pooled else 1) + (_SIGNALS if self.surprise else 0)


@dataclass(frozen=True, slots=True)
class Head:
    """Input [n, features] -> P(right) [n]. Features are standardised (`mean`, `scale`), pass a network of the given
    weight matrices with GELU between (one matrix: logistic regression), and a sigmoid; then the calibration of their
    depth (how many lines are written, the last table for all deeper ones), linear between the knots."""

    card: HeadCard
    mean: Array
    scale: Array
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    knots: tuple[Array, ...] = ()  # by depth: [2, k], raw values and calibrated ones

    def raw(self, features: Array) -> Array:
        """P(right) before calibration."""
        x: Array = ((features - self.mean) / self.scale).astype(np.float32)
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = np.asarray(x @ weight + bias, dtype=np.float32)
            if number < len(self.weights) - 1:
                x = _gelu(x)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x[:, 0], -30.0, 30.0))), dtype=np.float32)

    def probability(self, features: Array, depths: NDArray[np.int64]) -> Array:
        """Calibrated P(right)."""
        values = self.raw(features)
        if not self.knots:
            return values
        tables = np.minimum(np.maximum(depths, 1), len(self.knots)) - 1
        told = [np.interp(value, *self.knots[table]) for value, table in zip(values, tables, strict=True)]
        return np.clip(np.asarray(told, dtype=np.float32), 0.0, 1.0)

    @property
    def parameters(self) -> int:
        """Numbers in its matrices."""
        return sum(weight.size for weight in self.weights)


def _gelu(x: Array) -> Array:
    told = 0.5 * x * (1.0 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return np.asarray(told, dtype=np.float32)


def features_at(states: Array, places: NDArray[np.int64], pooled: bool, surprise: bool = False) -> Array:
    """Features at some places of one text, from its states [tokens, width]: the state there, if `pooled` the mean over
    the text up to there, and if `surprise` what the last column, minus the logprob of each token, has been so far."""
    signals = [_signals(states[:, -1], places)] if surprise else []
    states = states[:, :-1] if surprise else states
    means = [np.cumsum(states, 0, dtype=np.float32)[places] / (places[:, None] + 1)] if pooled else []
    return np.concatenate([states[places], *means, *signals], 1).astype(np.float32)


_SIGNALS = 6


def _signals(surprise: Array, places: NDArray[np.int64]) -> Array:
    """Of the text up to each place: mean and greatest surprise, shares of tokens with more than .3 and than 1 nat, the
    mean of the last 16 tokens, and the logarithm of the length."""
    length = places + 1.0
    sums = np.concatenate([[0.0], np.cumsum(surprise, dtype=np.float64)])
    parts = [
        sums[places + 1] / length,
        np.maximum.accumulate(surprise)[places],
        np.cumsum(surprise > 0.3)[places] / length,
        np.cumsum(surprise > 1.0)[places] / length,
        (sums[places + 1] - sums[np.maximum(places - 15, 0)]) / np.minimum(length, 16.0),
        np.log(length),
    ]
    return np.stack(parts, 1).astype(np.float32)


def with_figures(head: Head, figures: Sequence[tuple[str, str]]) -> Head:
    """The head with what was measured in its card."""
    return replace(head, card=replace(head.card, measured=tuple(figures)))


def save_head(head: Head, folder: Path) -> None:
    """Write a head: half-precision matrices (safetensors) and the card (JSON)."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"mean": head.mean, "scale": head.scale}
    for name, parts in (("weight", head.weights), ("bias", head.biases), ("knots", head.knots)):
        arrays |= {f"{name}.{number}": part for number, part in enumerate(parts)}
    kinds = {name: np.float16 if name.startswith("weight") else np.float32 for name in arrays}
    save_file({name: np.ascontiguousarray(array, kinds[name]) for name, array in arrays.items()}, folder / FILE)
    (folder / CARD).write_text(json.dumps(asdict(head.card), indent=1) + "\n")


def load_head(folder: Path) -> Head:
    """Read a head, with numpy alone. Raises ModelError where it is missing or broken."""
    if not (folder / CARD).is_file():
        raise ModelError(f"{folder}: no head that can be read there: no {CARD}, as `poise lab verifier` writes it")
    try:
        said = json.loads((folder / CARD).read_text())
        file = open_safetensors(folder / FILE)
        arrays = {name: file.array(name) for name in file.places}
        card = HeadCard(
            said["kind"],
            said["model"],
            tuple(said["layers"]),
            said["pooled"],
            said.get("surprise", False),
            tuple((name, text) for name, text in said["measured"]),
        )
        weights, biases, knots = (_parts(arrays, name) for name in ("weight", "bias", "knots"))
        return Head(card, arrays["mean"], arrays["scale"], weights, biases, knots)
    except (ModelError, OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: no head that can be read there: {type(error).__name__}: {error}") from error


def _parts(arrays: dict[str, Array], name: str) -> tuple[Array, ...]:
    count = sum(key.startswith(f"{name}.") for key in arrays)
    return tuple(arrays[f"{name}.{number}"] for number in range(count))
