"""Prompt optimisers: gradients over reasoning, their controls, and what is kept of the prompts that they try.

from poise.tune import Optimizer, TuneBudget
optimizer = Optimizer(metric, engine="torch:default", budget=TuneBudget(seconds=600))
print(optimizer.compile("Let us think.", trainset=examples).best)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poise.tune.archive import Objective
    from poise.tune.budget import TuneBudget
    from poise.tune.compiled import Compiled
    from poise.tune.facade import Optimizer
    from poise.tune.race import Race
    from poise.tune.step import StepSettings

__all__ = ["Compiled", "Objective", "Optimizer", "Race", "StepSettings", "TuneBudget"]
_HOMES = {
    "Compiled": "compiled",
    "Objective": "archive",
    "Optimizer": "facade",
    "Race": "race",
    "StepSettings": "step",
    "TuneBudget": "budget",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, so that naming the package loads nothing."""
        if name in _HOMES:
            return getattr(importlib.import_module(f"poise.tune.{_HOMES[name]}"), name)
        raise AttributeError(f"module 'poise.tune' has no attribute {name!r}")
