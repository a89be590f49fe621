"""Caching: an engine that replays from disk what it drew before. (Skeleton.)"""

from __future__ import annotations

from pathlib import Path

from poise.seams import Engine


def cached(engine: Engine, folder: Path) -> Engine:
    """`engine`, replaying from `folder` what it drew before."""
    raise NotImplementedError
