"""Scoring inside a run: recorded, billed, and never an exception of the scorer's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poise.core import Score, Step
from poise.costs import Usage
from poise.errors import ConfigError, RunError, ScorerError
from poise.ledger import Ledger
from poise.stage import Stage
from poise.trace import Scored

_NO_ROOM = "no ceiling had room for it"


async def score_paths(stage: Stage, ledger: Ledger, steps: Sequence[Step]) -> list[Score]:
    """Score the path of each step, record and bill it, in one batch. A scorer that breaks scores 0 and says why.

    Under ceilings no more is scored than there is room for, by the dearest score so far; the rest scores 0 and says so.
    What the first costs nobody knows, so a scorer that allows it (see `Scorer`) is asked for a single one."""
    if stage.scorer is None:
        raise ConfigError("scorer", None, "the name of a scorer, since this strategy scores")
    told: list[Score] = []
    while len(told) < len(steps):
        rest = steps[len(told) :]
        fits = _fits(stage, ledger, rest[0], len(rest)) if ledger.limited else len(rest)
        if not fits:
            stage.refused = True
            told += _recorded(stage, ledger, rest, [Score(0.0, failure=_NO_ROOM)] * len(rest))
            break
        now = rest[:fits]
        told += _recorded(stage, ledger, now, await _scores(stage, now))
    return told


def _fits(stage: Stage, ledger: Ledger, first: Step, wanted: int) -> int:
    """How many paths may be scored now, by the dearest score so far; before any, by what reading `first` takes."""
    bills = [score.usage for score in stage.scores.values() if not score.failure]
    if bills:
        dearest = max(bills, key=lambda usage: (usage.scorer_tokens, usage.flops, usage.money))
        return ledger.affords(replace(dearest, calls=0), wanted)
    if not getattr(stage.scorer, "apart", False):
        return wanted
    path = sum(step.draft.tokens for step in stage.path(first))
    return ledger.affords(Usage(scorer_tokens=path + max(stage.prompt_tokens.values(), default=0)), 1)


async def _scores(stage: Stage, steps: Sequence[Step]) -> list[Score]:
    assert stage.scorer is not None
    paths = [stage.path(step) for step in steps]
    try:
        scores = await stage.scorer.score(stage.request, paths)
        if len(scores) != len(paths):
            raise ScorerError(f"{stage.scorer.name} gave {len(scores)} scores for {len(paths)} paths")
    except (RunError, ConfigError) as failure:  # a Score cannot be made of what is no number in [0, 1]
        return [Score(0.0, failure=str(failure)) for _ in steps]
    return scores


def _recorded(stage: Stage, ledger: Ledger, steps: Sequence[Step], scores: Sequence[Score]) -> Sequence[Score]:
    assert stage.scorer is not None
    for step, score in zip(steps, scores, strict=True):
        stage.scores[step.id] = score
        stage.record(Scored(stage.now(), step.id, stage.scorer.name, score))
        ledger.charge(replace(score.usage, calls=0))  # the ceiling on calls is one on draws
    return scores
