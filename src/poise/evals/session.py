"""One sitting over a run directory: what is settled, what is asked next, and how each answer is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from poise.errors import EngineError, NoAnswer, RunError
from poise.evals.grade import Question, graded
from poise.evals.outcome import final, rows_of
from poise.evals.progress import Progress, Tally
from poise.evals.rows import Row
from poise.evals.rows_json import row_to_json
from poise.records import VERSION, Json, trace_from_json, trace_to_json
from poise.seams import Arm
from poise.store.run_dir import GRADES, TRACES, RunDir
from poise.trace import Trace

PATIENCE = 8
"""Failed questions in a row that end a sitting (or twice those asked at once, if that is more)."""

Ask: TypeAlias = Callable[[Question, Arm, Trace], Awaitable[object]]
Watch: TypeAlias = Callable[[Progress], None]


class Session:
    """Asks what `store` has not settled. `questions` are by item id; `ask` answers one by one arm, into a trace."""

    def __init__(
        self, questions: Mapping[str, Question], arms: Sequence[Arm], store: RunDir, ask: Ask, watch: Watch | None
    ) -> None:
        self._questions, self._arms, self._store, self._ask, self._watch = questions, arms, store, ask, watch
        self._tally = Tally([arm.name for arm in arms], len(questions) * len(arms))
        self._settled: set[tuple[str, str]] = set()
        self._failures = 0
        self._last: RunError | None = None

    async def run(self, parallel: int, seed: int) -> None:
        """Ask `parallel` questions at once. Raises EngineError and StoreError, and whatever `ask` raises that is
        not a RunError; what was in flight is then dropped, to be asked again."""
        self._resume()
        pending, patience = self._pending(seed), max(PATIENCE, 2 * parallel)
        workers = [asyncio.create_task(self._work(pending, patience)) for _ in range(parallel)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self._failures and not self._settled:
            raise self._gone()

    def _resume(self) -> None:
        """Settle what earlier sittings finished, and grade the answers they had no time to grade."""
        for row in filter(final, rows_of(self._store)):
            self._settle(row)
        ungraded = {}
        for line in self._store.lines(TRACES):
            key = line["item"], line["arm"]
            if key not in self._settled and _answered(line["trace"]):
                ungraded[key] = line["trace"]
        for (item, arm), trace in ungraded.items():
            row = graded(self._questions[item], arm, trace_from_json(trace))
            self._store.append(GRADES, row_to_json(row))
            self._settle(row)
        self._tally.start()

    def _settle(self, row: Row) -> None:
        self._settled.add((row.item, row.arm))
        self._tally.add(row)

    def _pending(self, seed: int) -> Iterator[tuple[Question, Arm]]:
        for id, question in self._questions.items():
            for arm in random.Random(f"{seed}|{id}").sample(self._arms, len(self._arms)):
                if (id, arm.name) not in self._settled:
                    yield question, arm

    async def _work(self, pending: Iterator[tuple[Question, Arm]], patience: int) -> None:
        for question, arm in pending:
            trace, error = Trace(), None
            try:
                await self._ask(question, arm, trace)
            except RunError as failure:
                error = _cause(failure)
            self._keep(question, arm, trace, error)
            if self._failures >= patience:
                raise self._gone()

    def _keep(self, question: Question, arm: Arm, trace: Trace, error: RunError | None) -> None:
        """Trace, then grade: a sitting that dies between the two has lost nothing."""
        place = {"version": VERSION, "item": question.item.id, "arm": arm.name}
        self._store.append(TRACES, {**place, "trace": trace_to_json(trace)})
        row = graded(question, arm.name, trace, type(error).__name__ if error else None)
        self._store.append(GRADES, row_to_json(row))
        if final(row):
            self._settle(row)
            self._failures = 0
        else:
            self._tally.add(row)
            self._failures += 1
            self._last = error
        if self._watch:
            self._watch(self._tally.progress())

    def _gone(self) -> EngineError:
        done = f"{len(self._settled)} of {len(self._questions) * len(self._arms)} are finished"
        failed = f"{self._failures} questions in a row failed, the last of {type(self._last).__name__}: {self._last}"
        return EngineError(f"{failed}; {done}, and the same command goes on from there")


def _answered(trace: Json) -> bool:
    return bool(trace["events"]) and trace["events"][-1]["event"] == "picked"


def _cause(failure: RunError) -> RunError:
    """Where every draw failed, what the last one failed of."""
    cause = failure.__cause__
    return cause if isinstance(failure, NoAnswer) and isinstance(cause, RunError) else failure
