"""Adapters: a LoRA adapter in peft's layout, and the GGUF file that comes of merging it into its base.

The folder holds peft's adapter_config.json and adapter_model.safetensors and, where Poise wrote it, a poise.json that
says which base it was trained for. Merged weights are W + scale * up @ down (Hu et al. 2021, arXiv 2106.09685, section
4.1): the merged file costs at run time what its base costs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import ConfigError, DataError, ModelError
from poise.models.dense import LAYER
from poise.models.safetensors_file import SafeTensors, open_safetensors
from poise.models.verify import check, is_verified, mark

CONFIG, WEIGHTS, ORIGIN = "adapter_config.json", "adapter_model.safetensors", "poise.json"
_KEY = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.([\w.]+)\.lora_(A|B)\.weight")

# Settings of peft that make an adapter more, or other, than W + scale * up @ down. What shows as tensors of its own
# (biases, whole modules, magnitudes) is refused where the tensors are read.
_UNMERGEABLE = (
    *("alpha_pattern", "fan_in_fan_out", "layer_replication", "alora_invocation_tokens", "use_dora", "use_qalora"),
    *("use_bdlora", "arrow_config", "kasa_config", "monteclora_config", "velora_config"),
)
_HARMLESS_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")  # ways to begin that leave the base as it was


@dataclass(frozen=True, slots=True)
class Base:
    """The model that an adapter was trained for, as far as it is known: the file's `sha256`, the `architecture` by its
    name in transformers, the rows of its embeddings, and the hash of its first `words` vocabulary entries."""

    name: str
    sha256: str = ""
    licence: str = ""
    architecture: str = ""
    vocabulary: int = 0
    words: int = 0
    words_sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name} (SHA-256 {self.sha256[:12]}...)" if self.sha256 else self.name


@dataclass(frozen=True, slots=True)
class Pair:
    """One adapted matrix [outputs, inputs]: its name in a GGUF file, the names of down [rank, inputs] and up
    [outputs, rank] in the adapter's, and what their product is multiplied by."""

    tensor: str
    down: str
    up: str
    rank: int
    inputs: int
    outputs: int
    scale: float


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter on disk; `pairs` by the name of their matrix. `sha256` stands for numbers and settings together."""

    name: str
    folder: Path
    rank: int
    alpha: float
    base: Base
    pairs: Mapping[str, Pair]
    weights: SafeTensors
    sha256: str

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return sum(pair.rank * (pair.inputs + pair.outputs) for pair in self.pairs.values())

    def difference(self, tensor: str) -> NDArray[np.float32] | None:
        """What is added to a matrix, [outputs, inputs], rows as in transformers; None where it is not adapted."""
        pair = self.pairs.get(tensor)
        if pair is None:
            return None
        product: NDArray[np.float32] = self.weights.array(pair.up) @ self.weights.array(pair.down)
        return product * np.float32(pair.scale)


def read_adapter(folder: Path) -> Adapter:
    """The adapter in a folder as peft writes it. The numbers are checked (against poise.json's hash) and not loaded.

    Raises ConfigError for a folder without one or an adapter of another kind than plain LoRA on the linear layers of a
    llama, DataError or ModelError for files that are torn or no adapter's."""
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise ConfigError(
            "adapter", str(folder), f"a folder with {CONFIG} and {WEIGHTS} (no {' and no '.join(missing)})"
        )
    config = _json(folder / CONFIG)
    origin = _json(folder / ORIGIN) if (folder / ORIGIN).is_file() else {}
    base = _base(origin, config, folder)
    _check_settings(config, base)
    rank, alpha = _number(config, "r", folder), _number(config, "lora_alpha", folder)
    weights = open_safetensors(folder / WEIGHTS)
    root = bool(config.get("use_rslora"))
    pairs = _pairs(weights, lambda own: alpha / (math.sqrt(own) if root else own), base)
    sha256 = hashlib.sha256(f"{_weights_hash(folder, origin)} {alpha} {root}".encode()).hexdigest()
    name = re.sub(r"[^\w.-]", "-", str(origin.get("name") or folder.resolve().name))  # it names files, too
    return Adapter(name, folder, int(rank), alpha, base, pairs, weights, sha256)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
        raise DataError(str(path), line, str(error), "JSON, as UTF-8") from None
    if not isinstance(found, dict):
        raise DataError(str(path), 1, found, "a JSON object")
    return found


def _number(config: Mapping[str, Any], key: str, folder: Path) -> float:
    value = config.get(key)
    if not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise DataError(str(folder / CONFIG), 0, value, f"a number above 0 as {key}")
    return float(value)


def _base(origin: Mapping[str, Any], config: Mapping[str, Any], folder: Path) -> Base:
    """What is known of the base: poise.json's word, or the name that peft was given."""
    said = origin.get("base", {"name": config.get("base_model_name_or_path") or "an unnamed model"})
    kinds = {field.name: int if field.name in ("vocabulary", "words") else str for field in dataclasses.fields(Base)}
    if not isinstance(said, dict) or not said.get("name"):
        raise DataError(str(folder / ORIGIN), 0, said, "as base: a table with a name")
    for field, kind in kinds.items():
        if not isinstance(said.get(field, kind()), kind):
            raise DataError(str(folder / ORIGIN), 0, said[field], f"as base.{field}: {kind.__name__}")
    return Base(**{field: said[field] for field in kinds if field in said})


def _check_settings(config: Mapping[str, Any], base: Base) -> None:
    if config.get("peft_type") != "LORA":
        raise ConfigError("adapter.peft_type", config.get("peft_type"), "LORA")
    for key in _UNMERGEABLE:
        if config.get(key):
            raise ConfigError(f"adapter.{key}", config[key], f"unset: only plain LoRA can be merged (made for {base})")
    if config.get("init_lora_weights") not in _HARMLESS_STARTS:
        start = config["init_lora_weights"]
        raise ConfigError("adapter.init_lora_weights", start, f"a start that leaves the base, {base}, as it was")


def _pairs(weights: SafeTensors, scale: Any, base: Base) -> dict[str, Pair]:
    names = {hugging_face: gguf for gguf, hugging_face in LAYER.items() if not gguf.endswith("norm")}
    halves: dict[str, dict[str, str]] = {}
    for key in weights.places:
        match = _KEY.fullmatch(key)
        if match is None or match[2] not in names:
            raise ConfigError("adapter", key, f"LoRA on the linear layers of a llama (made for {base})")
        halves.setdefault(f"blk.{match[1]}.{names[match[2]]}.weight", {})[match[3]] = key
    if not halves:
        raise ModelError(f"{weights.path}: no adapter in it")
    return {tensor: _pair(weights, tensor, keys, scale) for tensor, keys in halves.items()}


def _pair(weights: SafeTensors, tensor: str, keys: Mapping[str, str], scale: Any) -> Pair:
    down, up = (weights.places[keys[half]].shape if half in keys else () for half in "AB")
    if len(down) != 2 or len(up) != 2 or down[0] != up[1] or not down[0]:
        raise ModelError(f"{weights.path}: the two halves for {tensor} do not fit each other: {down} and {up}")
    return Pair(tensor, keys["A"], keys["B"], down[0], down[1], up[0], scale(down[0]))


def _weights_hash(folder: Path, origin: Mapping[str, Any]) -> str:
    """The hash of the numbers, checked where poise.json has it."""
    path, said = folder / WEIGHTS, origin.get("weights_sha256")
    if isinstance(said, str):
        if not is_verified(path, said):
            check(path, said, f"{path} (export it again, or install Poise again if it came with that)")
            mark(path, said)
        return said
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
