"""Training verifiers, probes and difficulty probes from recorded draws: outcome labels are free on tasks with graders.

Questions are parted three ways: heads are fitted on the first part, stopped and calibrated on the second, and measured
on draws of other questions (a pool of its own, or the third part)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from poise.evals import stats
from poise.lab.heads import Fit, calibrated, fit, split_questions
from poise.lab.pool import Pool, PooledItem
from poise.lab.readout import Places
from poise.models.head import Array, Head, HeadCard, save_head, with_figures


@dataclass(frozen=True, slots=True)
class Measured:
    """How good a head is on questions it never saw: `auroc` within question at the end of the draws, with its interval
    over clusters of questions; `ece_before` and `ece_after` calibration; `n` draws of `questions`, `mixed` of them with
    right and wrong draws."""

    auroc: float
    interval: tuple[float, float]
    ece_before: float
    ece_after: float
    n: int
    questions: int
    mixed: int

    def text(self) -> str:
        """For cards."""
        low, high = self.interval
        return (
            f"AUROC within question {self.auroc:.3f} [{low:.3f}, {high:.3f}], ECE {self.ece_before:.3f} raw and "
            f"{self.ece_after:.3f} calibrated, n = {self.n} draws of {self.questions} questions ({self.mixed} mixed)"
        )


def train_head(how: Fit, places: Places, card: HeadCard, seed: int = 0) -> Head:
    """A calibrated head from read-outs of a pool (`read_out` with the same card)."""
    parts = split_questions(places, (0.7, 0.12, 0.18), seed)
    training, validation, calibration = (places.where(part) for part in parts)
    head = fit(training, validation, card, how, seed)
    return calibrated(head, calibration)


def measured(head: Head, places: Places, pool: Pool, seed: int = 0) -> Measured:
    """How good a head is on read-outs of a pool of questions it never saw."""
    last = places.where(places.last)
    scores = head.probability(last.features, last.depths)
    area, interval, mixed = within(last, scores, pool.items, seed)
    raw, right = head.raw(last.features).tolist(), last.right.tolist()
    return Measured(
        area,
        interval,
        stats.calibration_error(raw, right),
        stats.calibration_error(scores.tolist(), right),
        len(scores),
        len(np.unique(last.questions)),
        mixed,
    )


def within(
    last: Places, scores: Array, items: Sequence[PooledItem], seed: int
) -> tuple[float, tuple[float, float], int]:
    """AUROC within question, its interval over clusters, and how many questions have both kinds of draws."""
    questions = last.questions.tolist()
    clusters = {question: items[question].item.cluster for question in questions}
    found, mixed = stats.auroc_interval(questions, scores.tolist(), last.right.tolist(), clusters, seed=seed)
    return (0.5, (0.0, 1.0), 0) if found is None else (found.mean, (found.low, found.high), mixed)


@dataclass(frozen=True, slots=True)
class Choice:
    """Picks by scores, beside the majority of the same draws: shares right, and the exact paired test."""

    name: str
    right: int
    majority_right: int
    only_choice: int
    only_majority: int
    n: int

    @property
    def p_value(self) -> float:
        """Exact McNemar, two-sided."""
        return stats.mcnemar(self.only_choice, self.only_majority)

    def text(self) -> str:
        """For people."""
        share, other = self.right / self.n, self.majority_right / self.n
        return (
            f"{self.name}: {share:.1%} against {other:.1%} by majority of the same draws ({self.only_choice} gained, "
            f"{self.only_majority} lost, n = {self.n}, exact McNemar p = {self.p_value:.2g})"
        )


def choices(pool: Pool, scores: Sequence[Array], n: int) -> list[Choice]:
    """Best of n and weighted vote of the first n draws by `scores` (one array a question), against their majority."""
    best: list[bool] = []
    weighted: list[bool] = []
    majority: list[bool] = []
    for one, told in zip(pool.items, scores, strict=True):
        first = told[: len(one.draws[:n])]
        weighted.append(one.majority(n, first.tolist()))
        best.append(one.draws[int(np.argmax(first))].correct)
        majority.append(one.majority(n))
    return [_choice(f"best_of_{n}", best, majority), _choice(f"weighted_vote_{n}", weighted, majority)]


def _choice(name: str, right: Sequence[bool], majority: Sequence[bool]) -> Choice:
    pairs = list(zip(right, majority, strict=True))
    return Choice(name, sum(right), sum(majority), pairs.count((True, False)), pairs.count((False, True)), len(pairs))


def scores_of(head: Head, places: Places, pool: Pool) -> list[Array]:
    """Final scores, one array a question in the order of its draws; 0 for a draw without text."""
    last = places.where(places.last)
    told = dict(zip(last.draws.tolist(), head.probability(last.features, last.depths).tolist(), strict=True))
    return [
        np.array([told.get(question * 1_000 + draw.index, 0.0) for draw in one.draws], dtype=np.float32)
        for question, one in enumerate(pool.items)
    ]


def save(head: Head, figures: Sequence[tuple[str, Measured]], folder: Path) -> None:
    """Write a head with what was measured in its card."""
    save_head(with_figures(head, [(name, each.text()) for name, each in figures]), folder)
