"""How well scores told right drafts from wrong ones of the same question: traces, graded a second time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from poise.errors import DataError
from poise.evals import stats
from poise.evals.rows import Interval, Row
from poise.report import words
from poise.report.drafts import Grades
from poise.report.read import Reading
from poise.store.run_dir import TRACES
from poise.strategies.stepwise import is_answer
from poise.trace import Drawn, Opened, Scored, Trace

HEADINGS = ("arm", "scorer", "drafts", "scored", "AUROC within question", "95 %", "questions", "calibration error")
ABOUT = (
    "The chance that a right draft is scored above a wrong one of the same question, over questions with both (.5: "
    "scores tell nothing; below .6 a search does better to vote plainly); and how far scores are from the share that "
    "is right (ECE)."
)
_DRAFTS = {False: "fast", True: "with thoughts"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """Of the scored answers of an arm that were drawn with thoughts, or without. `auroc`: None where no question has a
    right one and a wrong one; `questions`: those that have both; `error`: expected calibration error."""

    arm: str
    scorer: str
    thinks: bool
    n: int
    auroc: Interval | None
    questions: int
    error: float

    def cells(self) -> tuple[str, ...]:
        """Under HEADINGS."""
        area = ("-", "") if self.auroc is None else (f"{self.auroc.mean:.3f}", words.bracket(self.auroc, digits=3))
        kind = _DRAFTS[self.thinks]
        return self.arm, self.scorer, kind, f"{self.n:,}", *area, f"{self.questions:,}", f"{self.error:.3f}"


@dataclass(slots=True)
class _Column:
    """Answers by their question, their scores, and which are right."""

    questions: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)


def scored(reading: Reading) -> list[Told]:
    """Of each arm of a run that scores its drafts, in their order. Reads the traces of these arms in full, up to a
    broken one."""
    names = {arm["name"]: arm["plan"]["scorer"] for arm in reading.settings.get("arms", ()) if _scorer(arm)}
    rows = {(row.arm, row.item): row for row in reading.rows if row.arm in names and row.truth}
    columns: dict[tuple[str, bool], _Column] = {}
    grades = Grades(reading.rows)
    try:
        for row, trace in reading.traces(rows):
            for thinks, score, right in _drafts(trace, row, grades):
                into = columns.setdefault((row.arm, thinks), _Column())
                into.questions.append(row.item)
                into.scores.append(score)
                into.right.append(right)
    except (DataError, KeyError) as broken:
        _log.warning("%s: scores are judged up to a broken trace: %s", reading.path / TRACES, broken)
    clusters = {row.item: row.cluster for row in rows.values()}
    found = []
    for arm, scorer in names.items():
        for thinks in _DRAFTS:
            if (column := columns.get((arm, thinks))) is not None:
                told = column.questions, column.scores, column.right
                area, both = stats.auroc_interval(*told, clusters, seed=reading.settings.get("seed", 0))
                error = stats.calibration_error(column.scores, column.right)
                found.append(Told(arm, scorer, thinks, len(column.right), area, both, error))
    return found


def _scorer(arm: object) -> bool:
    return isinstance(arm, dict) and bool(arm.get("plan", {}).get("scorer"))


def _drafts(trace: Trace, row: Row, grades: Grades) -> Iterator[tuple[bool, float, bool]]:
    """Of each whole answer with a score: whether it was drawn with thoughts, the score, whether it is right."""
    opened = next(trace.of(Opened), None)
    stops: Sequence[str] = opened.request.sampling.stop if opened else ()
    drawn = {event.step.id: event for event in trace.of(Drawn) if is_answer(event.step, stops)}
    for event in trace.of(Scored):
        made = drawn.pop(event.step, None)
        if made and not event.score.failure:
            value = made.step.value
            right = value is not None and grades.right(row, value.text, trace)
            yield made.usage.thought_tokens > 0, event.score.value, right
