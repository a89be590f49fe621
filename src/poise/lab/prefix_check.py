"""How well guesses at prefixes foretell their continuations: scores of a head, or outcomes of the cut drafts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from poise.core import Draft, Finish, Request, Step
from poise.errors import ScorerError
from poise.evals import stats
from poise.evals.rows import Interval
from poise.lab.prefixes import Label
from poise.seams import Scorer


@dataclass(frozen=True, slots=True)
class Checked:
    """`correlation`: Spearman's, of guesses and shares of continuations that end right; `auroc`: whether guesses tell
    prefixes from which any ends right, over all questions; both with intervals over clusters of questions, None where
    nothing can be said. `ece`: calibration over `draws` continuations of `n` prefixes."""

    correlation: Interval | None
    auroc: Interval | None
    ece: float
    n: int
    draws: int

    def text(self) -> str:
        """For people."""
        return (
            f"Spearman {_shown(self.correlation)} with the share that ends right, AUROC {_shown(self.auroc)} of any "
            f"right end, ECE {self.ece:.3f}, n = {self.draws} continuations of {self.n} prefixes"
        )


def checked(guesses: Sequence[float], labels: Sequence[Label], seed: int = 0) -> Checked:
    """Compare guesses with what happened, one for each label. `seed`: of the bootstrap."""
    told = np.array(guesses, float)
    shares = np.array([label.share for label in labels])
    clusters = [(label.prefix.item.task, label.prefix.item.cluster) for label in labels]

    def area(places: stats.Places) -> float | None:
        return stats.auroc_within([0] * len(places), told[places].tolist(), (shares[places] > 0).tolist())

    ends = [(guess, right) for guess, label in zip(told.tolist(), labels, strict=True) for right in label.right]
    return Checked(
        stats.bootstrap(lambda places: stats.spearman(told[places], shares[places]), clusters, seed=seed),
        stats.bootstrap(area, clusters, seed=seed),
        stats.calibration_error([guess for guess, _ in ends], [right for _, right in ends]),
        len(labels),
        len(ends),
    )


async def scored(
    labels: Sequence[Label], scorer: Scorer, watch: Callable[[int], None] = lambda done: None
) -> list[float]:
    """What a scorer says of each prefix, as it would in a run. Raises ScorerError where it has nothing to say, and what
    the scorer raises. `watch` is told how many are done."""
    scores = []
    for label in labels:
        prefix = label.prefix
        step = Step(1, 0, Draft(prefix.text, Finish.DELIMITER, prefix.tokens))
        [score] = await scorer.score(Request.ask(prefix.item.question, prefix.item.kind), [(step,)])
        if score.failure:
            raise ScorerError(f"{scorer.name}: {prefix.id}: {score.failure}")
        scores.append(score.value)
        watch(len(scores))
    return scores


def outcomes(labels: Sequence[Label]) -> list[float]:
    """The outcome of the one draft that each prefix is of: 1 where it was right."""
    return [float(label.prefix.outcome) for label in labels]


def _shown(found: Interval | None) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]" if found else "unknown"
