"""The header of a GGUF file: its metadata and its tensor table, without touching the weights.

The `gguf` package reads it too, in seconds (it builds arrays for each of ~100,000 vocabulary strings); this takes tens
of milliseconds, because long lists are stepped over. Format: the GGUF specification of ggml, versions 2 and 3.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from poise.errors import ModelError

Scalar: TypeAlias = int | float | bool | str
Metadata: TypeAlias = Mapping[str, Scalar | tuple[Scalar, ...]]

STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
KEPT_ITEMS = 1024  # longer lists are vocabularies
LARGEST_COUNT = 1 << 24  # above this a count is garbage, not a model

# ggml type id -> (elements per block, bytes per block)
BLOCKS = {
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)},
    **{23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)},
    **{34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18)},
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One line of the tensor table: `shape` fastest axis first, `offset` in bytes from the start of the data."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Its size in the file; at least 1 where the type is newer than this table."""
        per_block, size = BLOCKS.get(self.type, (self.elements, 1))
        return self.elements // per_block * size


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata (lists of more than 1,024 entries left out), tensor table, and the file size that they call for."""

    metadata: Metadata
    tensors: tuple[Tensor, ...]
    needed_bytes: int


def read_header(path: Path) -> Header:
    """Read and check the header.

    Raises ModelError when the file is missing, is no GGUF file, has a broken header, or is shorter than its tensor
    table says (truncated). Cost: ~50 ms for a vocabulary of 50,000; the weights are not read.
    """
    try:
        with path.open("rb") as file:
            header = _Reader(file, path).header()
            found = path.stat().st_size
    except (struct.error, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: truncated or broken inside its GGUF header ({error})") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    if found < header.needed_bytes:
        raise ModelError(f"{path}: truncated: {found:,} bytes, but its tensor table needs {header.needed_bytes:,}")
    return header


class _Reader:
    """Walks a header from its start; struct.error means that the file ended early."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path

    def header(self) -> Header:
        magic = self.file.read(4)
        if magic != b"GGUF":
            raise ModelError(f"{self.path}: not a GGUF file: it starts with {magic!r}, not b'GGUF'")
        version = self.number("I")
        if version not in (2, 3):
            raise ModelError(f"{self.path}: GGUF version {version}; versions 2 and 3 (little-endian) can be read")
        n_tensors, n_pairs = self.count("tensors"), self.count("metadata")
        metadata = {}
        for _ in range(n_pairs):
            key, value = self.text(), self.value(self.number("I"))
            if value is not None:
                metadata[key] = value
        tensors = tuple(self.tensor() for _ in range(n_tensors))
        alignment = metadata.get("general.alignment")
        step = alignment if isinstance(alignment, int) and alignment > 0 else 32
        start = -(-self.file.tell() // step) * step
        return Header(metadata, tensors, start + max((t.offset + t.bytes for t in tensors), default=0))

    def tensor(self) -> Tensor:
        name, axes = self.text(), self.number("I")
        if not name or axes > 8:
            raise self.broken(f"a tensor called {name!r} with {axes} axes")
        return Tensor(name, tuple(self.number("Q") for _ in range(axes)), self.number("I"), self.number("Q"))

    def value(self, kind: int) -> Scalar | tuple[Scalar, ...] | None:
        """One value; None for a long list, which is stepped over."""
        if kind != ARRAY:
            return self.text() if kind == STRING else self.scalar(kind)
        kind, count = self.number("I"), self.count("list entries")
        if count <= KEPT_ITEMS:
            return tuple(self.text() if kind == STRING else self.scalar(kind) for _ in range(count))
        if kind == STRING:
            for _ in range(count):
                self.file.seek(self.count("bytes in a string"), 1)
        else:
            self.file.seek(count * struct.calcsize(self.code(kind)), 1)
        return None

    def text(self) -> str:
        length = self.count("bytes in a string")
        raw = self.file.read(length)
        if len(raw) < length:
            raise struct.error("the file ends inside a string")
        return raw.decode()

    def scalar(self, kind: int) -> Scalar:
        value: Scalar = self.unpack(self.code(kind))
        return value

    def code(self, kind: int) -> str:
        if kind not in SCALARS:
            raise self.broken(f"value type {kind}")
        return SCALARS[kind]

    def count(self, what: str) -> int:
        count = self.number("Q")
        if count > LARGEST_COUNT:
            raise self.broken(f"{count:,} {what}")
        return count

    def number(self, code: str) -> int:
        number: int = self.unpack(code)
        return number

    def unpack(self, code: str) -> Any:
        code = "<" + code
        return struct.unpack(code, self.file.read(struct.calcsize(code)))[0]

    def broken(self, why: str) -> ModelError:
        return ModelError(f"{self.path}: broken GGUF header: {why}")
