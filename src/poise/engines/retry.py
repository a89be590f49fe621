"""Retrying: an engine that tries a failed call again. (Skeleton.)"""

from __future__ import annotations

from poise.seams import Engine


def retrying(engine: Engine, attempts: int = 3, base_seconds: float = 0.25) -> Engine:
    """`engine`, each call tried up to `attempts` times."""
    raise NotImplementedError
