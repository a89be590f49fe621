"""A run directory as a report needs it: settings, rows, summary, and a few traces. Reading changes nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from poise.errors import DataError
from poise.evals.outcome import rows_of, summary_of
from poise.evals.rows import Row, Summary
from poise.records import Json, trace_from_json
from poise.report.words import clean, unweighed
from poise.store.run_dir import CONFIG, ENVIRONMENT, GRADES, TRACES, RunDir
from poise.trace import Trace

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Example:
    """One graded answer with its trace."""

    row: Row
    trace: Trace


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run directory holds. `settings` and `environment`: its config.json and environment.json, for showing."""

    path: Path
    rows: tuple[Row, ...]
    summary: Summary
    settings: Json
    environment: Json

    @property
    def title(self) -> str:
        """What this run compares."""
        tasks = list(dict.fromkeys(row.task for row in self.rows))
        more = f" and {len(tasks) - 3} more" if len(tasks) > 3 else ""
        n = len(self.summary.arms)
        return f"{clean(', '.join(tasks[:3]))}{more}: {n} arm{'s compared' if n > 1 else ''}"

    @property
    def about(self) -> tuple[str, ...]:
        """What was run, in a few words."""
        n, models = len({row.item for row in self.rows}), dict.fromkeys(self.settings.get("models", {}).values())
        seed = [f"seed {self.settings['seed']}"] if "seed" in self.settings else []
        return (f"{n:,} question{'s' if n != 1 else ''}", *map(clean, models), *seed)

    @property
    def wanted(self) -> int:
        """Rows that a finished run has."""
        return int(self.settings.get("items", {}).get("n", 0) * len(self.settings.get("arms", ())))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing or failed, in sentences."""
        failed = sum(row.error is not None for row in self.rows)
        notes = []
        if len(self.rows) < self.wanted:
            notes.append(f"Unfinished: {len(self.rows):,} of {self.wanted:,} rows; what follows is a partial report.")
        if self.summary.replayed:
            notes.append("Draws were replayed: seconds and joules were not measured.")
        if failed:
            notes.append(f"{failed:,} of {len(self.rows):,} rows failed; they count as wrong, at what they cost.")
        return (*notes, *unweighed(self.summary))

    def by_arm(self) -> dict[str, list[Row]]:
        """Rows of each arm, in the order they were graded."""
        found: dict[str, list[Row]] = {arm.arm: [] for arm in self.summary.arms}
        for row in self.rows:
            found[row.arm].append(row)
        return found

    def traces(self, rows: Mapping[tuple[str, str], Row]) -> Iterator[tuple[Row, Trace]]:
        """Those of some rows, by arm and item, one by one; a row that is taken out of `rows` on the way is passed over.
        Raises DataError or KeyError at a broken one."""
        for line in RunDir(self.path).lines(TRACES):
            row = rows.get((line.get("arm", ""), line.get("item", "")))
            if row is not None:
                yield row, trace_from_json(line["trace"])

    def examples(self) -> list[Example]:
        """The first right and the first wrong answer of each arm, in the order of arms. Reads traces one by one, keeps
        only these, and stops when all are found; a broken trace ends the search."""
        wanted: dict[tuple[str, str], Row] = {}
        for rows in self.by_arm().values():
            for correct in (True, False):
                first = next((row for row in rows if row.correct is correct and row.error is None), None)
                wanted |= {(first.arm, first.item): first} if first else {}
        found: dict[tuple[str, str], Example] = {}
        try:
            for row, trace in self.traces(wanted):
                found[row.arm, row.item] = Example(row, trace)
                if len(found) == len(wanted):
                    break
        except (DataError, KeyError) as error:
            _log.warning("%s: traces are shown up to a broken one: %s", self.path / TRACES, error)
        return [found[key] for key in wanted if key in found]


def read(path: str | os.PathLike[str]) -> Reading:
    """Read a run directory, finished or not. Raises DataError when it is none, has no grades yet, or is broken."""
    store = RunDir(path)
    settings = store.read(CONFIG)
    if settings is None:
        if (store.path / "study.json").exists():
            runs = ", ".join(str(path.parent) for path in sorted(store.path.glob(f"*/{CONFIG}")))
            raise DataError(str(store.path), 0, "a study", f"one of its runs: {runs or 'none is begun'}")
        raise DataError(str(store.path), 0, "no config.json", "the directory of a benchmark run")
    rows = tuple(rows_of(store))
    if not rows:
        raise DataError(str(store.path / GRADES), 0, "no rows", "at least one graded answer")
    return Reading(store.path, rows, summary_of(store), settings, store.read(ENVIRONMENT) or {})
