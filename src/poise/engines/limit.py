"""Limiting: an engine with at most so many calls in flight. (Skeleton.)"""

from __future__ import annotations

from poise.seams import Engine


def limited(engine: Engine, slots: int) -> Engine:
    """`engine` with at most `slots` calls in flight, first come first served."""
    raise NotImplementedError
