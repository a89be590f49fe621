"""Reading a safetensors file with numpy alone: the library's own numpy side does not know bfloat16.

Format: 8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, then the raw numbers,
little-endian, row by row (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.errors import ModelError

KINDS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no bfloat16: its bits are widened by hand
LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True, slots=True)
class Place:
    """Where one tensor lies; `offset` in bytes from the start of the file."""

    kind: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class SafeTensors:
    """The table of a safetensors file; the numbers stay on disk until `array` reads them."""

    path: Path
    places: Mapping[str, Place]

    def array(self, name: str) -> NDArray[np.float32]:
        """The tensor `name` in float32. KeyError for a name that is not there."""
        place = self.places[name]
        raw = np.fromfile(self.path, KINDS[place.kind], math.prod(place.shape), offset=place.offset)
        wide = (raw.astype(np.uint32) << 16).view(np.float32) if place.kind == "BF16" else raw.astype(np.float32)
        return wide.reshape(place.shape)


def open_safetensors(path: Path) -> SafeTensors:
    """Read the table. Raises ModelError for a file that is missing, torn, of another format, or that holds numbers of
    another type than F32, F16 and BF16."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if not 2 <= length <= min(size - 8, LONGEST_HEADER):
                raise _broken(path, f"it calls for a header of {length:,} bytes, and has {size:,} in all")
            header = json.loads(file.read(length))
        if not isinstance(header, dict):
            raise _broken(path, "its header is no table")
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return SafeTensors(path, {name: _place(path, name, e, 8 + length, size) for name, e in tensors.items()})
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (struct.error, ValueError, RecursionError) as error:
        raise _broken(path, str(error)) from error


def _place(path: Path, name: str, entry: Any, start: int, size: int) -> Place:
    try:
        kind, shape, (first, last) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise _broken(path, f"the entry of {name} lacks its type, shape or place") from None
    if kind not in KINDS:
        raise ModelError(f"{path}: {name} is of type {kind!r}; {', '.join(KINDS)} can be read")
    if not all(isinstance(number, int) and number >= 0 for number in (*shape, first, last)):
        raise _broken(path, f"the entry of {name} has a shape or place that is no whole number")
    if last - first != math.prod(shape) * np.dtype(KINDS[kind]).itemsize or start + last > size:
        raise _broken(path, f"the numbers of {name} are cut off or do not fit its shape")
    return Place(kind, shape, start + first)


def _broken(path: Path, why: str) -> ModelError:
    return ModelError(f"{path}: truncated, or not a safetensors file: {why}")
