"""How many drafts of each question were right: traces, graded a second time by what the rows know."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from poise import answers
from poise.core import Finish
from poise.errors import DataError
from poise.evals.passes import Graded
from poise.evals.rows import Row
from poise.report.read import Reading
from poise.store.run_dir import TRACES
from poise.trace import Drawn, Launched, Opened, Trace

_log = logging.getLogger(__name__)


def graded(reading: Reading, widths: Mapping[str, int]) -> dict[str, Graded]:
    """By arm, its graded drafts, for those of the arms `widths` that drew so many whole drafts of every question. One
    that stops early, closes drafts, or goes on from prefixes is left out: what it drew depended on what it had drawn.
    Reads every line of the traces, and those of these arms in full; after a broken one nothing is graded."""
    rows = {(row.arm, row.item): row for row in reading.rows if row.arm in widths and row.truth}
    grades, found = Grades(reading.rows), {arm: dict[str, int]() for arm in widths}
    try:
        for row, trace in reading.traces(rows):
            right = _right(trace, row, widths[row.arm], grades)
            if right is None:
                del found[row.arm]
                for key in [key for key in rows if key[0] == row.arm]:
                    del rows[key]
            else:
                found[row.arm][row.item] = right
    except (DataError, KeyError) as error:
        _log.warning("%s: drafts are not graded, for a broken trace: %s", reading.path / TRACES, error)
        return {}
    return {arm: Graded(widths[arm], right) for arm, right in found.items() if right}


@dataclass(slots=True)
class Grades:
    """Whether a value is right: what a row says of it where some arm gave it as its answer, else whether it is the same
    as the truth."""

    rows: Iterable[Row]
    known: dict[tuple[str, str], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known |= {(row.item, row.value): row.correct for row in self.rows if row.value and row.error is None}

    def right(self, row: Row, value: str, trace: Trace) -> bool:
        """Of a value that a draft of this row's question has."""
        key = row.item, value
        if key not in self.known:
            opened = next(trace.of(Opened), None)
            self.known[key] = opened is not None and answers.same(value, row.truth, opened.request.kind)
        return self.known[key]


def _right(trace: Trace, row: Row, width: int, grades: Grades) -> int | None:
    """Right drafts of one trace; None where it is no draw of `width` whole drafts. What failed is not right, and of a
    question that failed, what was not drawn is not either."""
    steps = [event.step for event in trace.of(Drawn)]
    roots = sum(event.parent == 0 for event in trace.of(Launched))
    whole = all(step.parent == 0 and step.draft.finish is not Finish.CLOSED for step in steps)
    if row.error is None and (roots != width or not whole):
        return None
    return sum(step.value is not None and grades.right(row, step.value.text, trace) for step in steps[:width])
