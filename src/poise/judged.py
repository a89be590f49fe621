"""Scoring inside a run: recorded, billed, and never an exception of the scorer's."""

from __future__ import annotations

from collections.abc import Sequence

from poise.core import Score, Step
from poise.errors import ConfigError, RunError, ScorerError
from poise.ledger import Ledger
from poise.stage import Stage
from poise.trace import Scored


async def score_paths(stage: Stage, ledger: Ledger, steps: Sequence[Step]) -> list[Score]:
    """Score the path of each step in one batch, and record and bill it. A scorer that breaks scores 0 and says why."""
    if stage.scorer is None:
        raise ConfigError("scorer", None, "the name of a scorer, since this strategy scores")
    paths = [stage.path(step) for step in steps]
    try:
        scores = await stage.scorer.score(stage.request, paths)
        if len(scores) != len(paths):
            raise ScorerError(f"{stage.scorer.name} gave {len(scores)} scores for {len(paths)} paths")
    except (RunError, ConfigError) as failure:  # a Score cannot be made of what is no number in [0, 1]
        scores = [Score(0.0, failure=str(failure)) for _ in steps]
    for step, score in zip(steps, scores, strict=True):
        stage.scores[step.id] = score
        stage.record(Scored(stage.now(), step.id, stage.scorer.name, score))
        ledger.charge(score.usage)
    return scores
