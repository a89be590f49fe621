"""What strategies that force answers share: which steps of a path in pieces are answers."""

from __future__ import annotations

from collections.abc import Sequence

from poise import prompts
from poise.core import Request, Step
from poise.strategies.base import is_over


def is_forced(request: Request, step: Step) -> bool:
    """Whether a step answers because it was made to: by the closing suffix of the request's kind."""
    return step.finished and step.suffix.endswith(prompts.closing(request))


def concludes(request: Request, step: Step) -> bool:
    """Whether a path ends with this step: the model ended it (or a stop string of the request did), or an answer was
    forced out of it. What was merely cut at a number of tokens is no answer, whatever value stands in it."""
    return is_over(step, request.sampling.stop) or is_forced(request, step)


def conclusion(request: Request, steps: Sequence[Step]) -> Step | None:
    """The last answer of a path, with a value if any has one."""
    ends = sorted((step for step in steps if concludes(request, step)), key=lambda step: step.id)
    return max(ends, key=lambda step: (step.value is not None, step.id), default=None)
