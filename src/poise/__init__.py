"""Poise decides, per question, how much reasoning to buy, and proves it with measured frontiers.

import poise
answer = poise.solve("What is 17 + 25?", strategy="self_consistency:n=8", deadline=10)
print(answer.value, answer.confidence, answer.usage.new_tokens)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poise.api import asolve, solve
    from poise.config import EngineSpec
    from poise.connect import connect
    from poise.core import Goal, Kind, Message, Request, Sampling
    from poise.costs import Budget, Usage
    from poise.errors import ConfigError, PoiseError, RunError
    from poise.seams import Engine, Plan, Scorer, Strategy
    from poise.trace import Answer, Trace

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Budget",
    "ConfigError",
    "Engine",
    "EngineSpec",
    "Goal",
    "Kind",
    "Message",
    "Plan",
    "PoiseError",
    "Request",
    "RunError",
    "Sampling",
    "Scorer",
    "Strategy",
    "Trace",
    "Usage",
    "asolve",
    "connect",
    "solve",
]
_HOMES = {
    "poise.api": ("asolve", "solve"),
    "poise.config": ("EngineSpec",),
    "poise.connect": ("connect",),
    "poise.core": ("Goal", "Kind", "Message", "Request", "Sampling"),
    "poise.costs": ("Budget", "Usage"),
    "poise.errors": ("ConfigError", "PoiseError", "RunError"),
    "poise.seams": ("Engine", "Plan", "Scorer", "Strategy"),
    "poise.trace": ("Answer", "Trace"),
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, so that `import poise` stays fast."""
        for module, names in _HOMES.items():
            if name in names:
                found = getattr(importlib.import_module(module), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module 'poise' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*__all__, "__version__"])
