"""What most strategies share: no special needs, no scorer; and picks by vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poise import answers
from poise.core import Ability, Finish, Pick, Request, Sampling, Step
from poise.errors import ConfigError
from poise.search import vote


class Plain:
    """A strategy that any engine can serve and that scores nothing."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[Ability]:
        """No special abilities."""
        return frozenset()

    @property
    def scored(self) -> bool:
        """No scorer."""
        return False


WIDEST, MOST_DRAWS = 1_024, 10_000
"""Ceilings on the paths of a tree and on draws at once: launching more takes longer than people wait."""


def at_least(knob: str, value: int, least: int = 1, most: int = 100_000) -> None:
    """Raise ConfigError unless `value` is between `least` and `most`."""
    if not least <= value <= most:
        raise ConfigError(knob, value, f"{least} to {most:,}")


def recording(sampling: Sampling, top_logprobs: int) -> Sampling:
    """The sampling with logprobs recorded, and at least so many alternatives a token."""
    return replace(sampling, top_logprobs=max(top_logprobs, sampling.top_logprobs or 0))


def is_over(step: Step, stops: Sequence[str] = ()) -> bool:
    """Whether the model ended the path here, or one of the request's own `stops` did."""
    ended = step.draft.finish is Finish.DELIMITER and step.draft.text.endswith(tuple(stops))
    return step.draft.finish is Finish.EOS or (ended and bool(stops))


def voted(request: Request, steps: Sequence[Step], weights: Sequence[float] | None = None) -> Pick | None:
    """Majority of equivalent values (by weight where given), the first seen winning ties; texts without a value never
    vote. A lone vote states no confidence; with no value at all the first text stands, without any either."""
    if not steps:
        return None
    classes = answers.classes([step.value for step in steps], request.kind)
    winner = vote.leader(classes, weights)
    if winner is None:
        return Pick(steps[0], None, 0)
    ballots = sum(label >= 0 for label in classes)
    return Pick(steps[classes.index(winner.label)], winner.share if ballots > 1 else None, ballots)
