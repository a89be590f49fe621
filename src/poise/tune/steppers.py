"""Ways of taking a step, by their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from poise.evals.rows import Item
from poise.evals.tasks import Task
from poise.tune.asking import Asking
from poise.tune.budget import Spent
from poise.tune.greater import GreaterStepper
from poise.tune.shortlist import By
from poise.tune.step import Stepped, Stepper, StepSettings

if TYPE_CHECKING:
    from poise.engines.torch_lm import TorchLM
    from poise.tune.rows import LossTerms


class Steps(Protocol):
    """What takes steps. The same seed, number, prompt and place: the same step."""

    def most(self, prompt: str) -> Spent:
        """Calls and tokens that a step costs at most; seconds are not known beforehand."""
        ...

    def place(self, number: int, last: int | None, prompt: str) -> int:
        """The token that step `number` edits, after one that edited `last`."""
        ...

    async def step(self, number: int, prompt: str, place: int) -> Stepped: ...


def steps_of(
    engine: TorchLM, task: Task, items: Sequence[Item], settings: StepSettings, terms: LossTerms, seed: int
) -> Steps:
    """The way that the settings name. Raises ConfigError as it does."""
    made = GreaterStepper if settings.by is By.GREATER else Stepper
    return made(Asking(engine, task, items, settings.sampling, terms, settings.slopes), settings, seed)
