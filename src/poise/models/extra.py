"""Whether the torch extra is installed, said before anything of it is imported."""

from __future__ import annotations

import importlib.util

from poise.errors import ConfigError

READING = ("torch", "transformers", "safetensors")
"""Packages that it takes to run a model."""


def require_torch(field: str, packages: tuple[str, ...] = READING) -> None:
    """ConfigError about `field`, with the line that installs it, where a package of the torch extra is missing."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(field, f"{package} is not installed", 'pip install "poise[torch]"')
