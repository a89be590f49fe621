"""The difficulty probe: P(a draw is right | question), from the prompt's last hidden state. For planning, before a
single token is drawn (Damani et al. 2024, arXiv 2410.04707)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from poise.evals import stats
from poise.lab.pool import Pool, PooledItem
from poise.lab.readout import Places, question_ids
from poise.models.head import Head
from poise.models.reader import Asked, Reader, read

_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Foreseen:
    """How well a probe foresees: `auroc` of single draws across questions, `ece`, and the correlation with the share of
    right draws per question; n draws of `questions`."""

    auroc: float
    ece: float
    correlation: float
    n: int
    questions: int

    def text(self) -> str:
        """For cards."""
        return (
            f"AUROC of single draws {self.auroc:.3f}, ECE {self.ece:.3f}, correlation with the share of right draws "
            f"{self.correlation:.2f}, n = {self.n} draws of {self.questions} questions"
        )


def read_questions(
    reader: Reader, items: Sequence[PooledItem], layers: Sequence[int], watch: Callable[[int], None] = lambda n: None
) -> Places:
    """One place per draw, all draws of a question with the same features: the state after its prompt's last token."""
    features = []
    for first in range(0, len(items), _TOGETHER):
        asked = []
        for one in items[first : first + _TOGETHER]:
            ids = question_ids(reader, one)
            asked.append(Asked(ids[:-1], [ids[-1:]]))
        features += [states[0][-1].float().numpy() for states in read(reader.llama, asked, layers)]
        watch(first + len(asked))
    draws = [(question, draw) for question, one in enumerate(items) for draw in one.draws]
    questions = np.array([question for question, _ in draws])
    return Places(
        np.stack(features)[questions],
        np.ones(len(draws), dtype=np.int64),
        np.arange(len(draws)),
        questions,
        np.array([draw.correct for _, draw in draws]),
        np.ones(len(draws), dtype=np.bool_),
    )


def measure_difficulty(head: Head, reader: Reader, pool: Pool) -> Foreseen:
    """How well a probe foresees on questions it never saw."""
    places = read_questions(reader, pool.items, head.card.layers)
    told = head.probability(places.features, places.depths)
    area = stats.auroc_within([0] * len(told), told.tolist(), places.right.tolist())
    by_question = [places.questions == question for question in range(len(pool.items))]
    shares = [float(places.right[chosen].mean()) for chosen in by_question]
    guesses = [float(told[chosen][0]) for chosen in by_question]
    together = float(np.corrcoef(shares, guesses)[0, 1]) if len(set(shares)) > 1 and len(set(guesses)) > 1 else 0.0
    ece = stats.calibration_error(told.tolist(), places.right.tolist())
    return Foreseen(0.5 if area is None else area, ece, together, len(told), len(pool.items))
