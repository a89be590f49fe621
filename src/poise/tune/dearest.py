"""What a step may cost at most: known before it is taken, so that no budget is passed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from poise.draws import prompt_bound
from poise.evals.rows import Item
from poise.tune.budget import Spent
from poise.tune.placing import messages
from poise.tune.shortlist import By
from poise.tune.step import StepSettings

FREE_EDITS = 2
"""At most, besides the shortlist: the token left out, and the prompt ended there."""


def contestants(step: StepSettings) -> int:
    """Prompts in a race at most: the one that stands, the shortlist, and the free edits."""
    return 1 + step.tries + FREE_EDITS


def calls_of(step: StepSettings, questions: int, rows: int) -> int:
    """Draws of a step whose race ends after so many rows, of a task with so many questions."""
    told = min(step.rows, questions) if step.by in (By.GRADIENT, By.MIXED) else 0
    return told + contestants(step) * min(rows, step.race.most, questions)


def dearest_step(step: StepSettings, items: Sequence[Item], prompt: str) -> Spent:
    """A step on the longest questions whose race goes on to its end. Tokens are those that `Spent` counts: generated,
    and run through the model for proposals and gradients."""
    calls, rows = calls_of(step, len(items), step.race.most), min(step.rows, len(items))
    longest = max(prompt_bound(messages(item.question, prompt)) for item in items)
    read = rows * (2 * longest + step.reasoning_tokens)
    return Spent(calls, calls * step.reasoning_tokens + read)
