"""The rounds of a reflective search as lines of `steps.jsonl`, and the pool of prompts that it keeps. A gepa callback:
it is told in the package's thread, and written on the event loop's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from poise.records import Json
from poise.tune.budget import Spent, TuneBudget
from poise.tune.emit import tidy
from poise.tune.journal import Journal
from poise.tune.lengths import Outcome, means, rights
from poise.tune.lines import step_to_json
from poise.tune.optimizer import FINALISTS, STEPS, Progress, Searched, TuneDir
from poise.tune.race import standing
from poise.tune.reflect import PROMPT, Asker
from poise.tune.shortlist import Edit, Kind, Source
from poise.tune.step import Stepped, Tried


@dataclass(frozen=True, slots=True)
class Pooled:
    """A prompt that was asked all questions which keep the pool, and the share that it got right."""

    text: str
    share: float


@dataclass(frozen=True, slots=True)
class Round:
    """A round that went on to its end: the best prompt and what was spent by then, what was proposed (nothing, where
    there was nothing to learn), whether it came into the pool, outcomes before and after, and answers that failed."""

    best: str
    spent: Spent = field(default_factory=Spent)
    proposed: str | None = None
    accepted: bool = False
    before: tuple[Outcome, ...] = ()
    after: tuple[Outcome, ...] = ()
    failed: int = 0

    def to_json(self, number: int, before: Spent) -> Json:
        """As a line. `before`: what was spent before it. What it raced is not told: that is of a prompt of the pool,
        which need not be the best."""
        now, tried = self.spent, tuple[Tried, ...]()
        edit = Edit(Kind.REWRITE, 0, Source.REFLECTION, text=self.proposed)
        if self.proposed is not None:
            told = standing(rights(self.before), rights(self.after))
            tried = (Tried(edit, self.proposed, told, *means(self.before, self.after)),)
        spent = Spent(now.calls - before.calls, now.tokens - before.tokens, now.seconds - before.seconds)
        found = Stepped(self.best, edit if self.accepted else None, tried, spent, self.failed)
        return step_to_json(number, None, found, spent)


class Rounds:
    """Of one search. Tells the asker which round it is."""

    def __init__(self, asker: Asker, journal: Journal, initial: str) -> None:
        self._asker, self._journal, self._initial = asker, journal, initial
        self._rounds: list[Round] = []
        self._written = 0
        self._pool: list[Pooled] = []
        self._open = Round(initial)

    def write(self, store: TuneDir, budget: TuneBudget, watch: Callable[[Progress], None]) -> None:
        """Write what ended since, but for what a former sitting wrote. Raises StoreError."""
        there = sum(1 for _ in store.lines(STEPS)) if not self._written else self._written
        rounds = list(self._rounds)
        for number in range(max(self._written, there), len(rounds)):
            before = rounds[number - 1].spent if number else Spent()
            store.append(STEPS, rounds[number].to_json(number, before))
            watch(Progress(number + 1, rounds[number].best, budget.spent(rounds[number].spent), budget.ceiling))
        self._written = max(there, len(rounds))

    def searched(self) -> Searched:
        """The best of the pool by the questions that keep it, the first of equals, to be judged on others."""
        others = sorted((one for one in self._pool if one.text != self._initial), key=lambda one: -one.share)
        texts = dict.fromkeys([self._initial, *(one.text for one in others[:FINALISTS])])
        return Searched(tuple(texts), len(self._rounds), replace(self._journal.spent))

    @property
    def best(self) -> str:
        """Of the pool so far."""
        return max(self._pool, key=lambda one: one.share).text if self._pool else self._initial

    def on_iteration_start(self, event: Mapping[str, Any]) -> None:
        """A round begins."""
        self._asker.round = event["iteration"]
        self._open = Round(self.best)

    def on_proposal_end(self, event: Mapping[str, Any]) -> None:
        """A prompt was proposed."""
        self._open = replace(self._open, proposed=tidy(event["new_instructions"][PROMPT]))

    def on_evaluation_end(self, event: Mapping[str, Any]) -> None:
        """A few questions were asked: of the prompt, then of its successor, which has no place in the pool yet."""
        told = [seen.answer for seen in event["trajectories"]]
        rows = tuple(each.outcome for each in told)
        failed = self._open.failed + sum(row.failed for row in rows)
        if event["candidate_idx"] is None:
            self._open = replace(self._open, after=rows, failed=failed)
        else:
            self._open = replace(self._open, before=rows, failed=failed)

    def on_valset_evaluated(self, event: Mapping[str, Any]) -> None:
        """A prompt came into the pool."""
        self._pool.append(Pooled(tidy(event["candidate"][PROMPT]), float(event["average_score"])))
        self._open = replace(self._open, accepted=event["iteration"] > 0)

    def on_iteration_end(self, event: Mapping[str, Any]) -> None:
        """A round ended; one that was stopped on its way does not count."""
        if not self._journal.stopped:
            self._rounds.append(replace(self._open, best=self.best, spent=replace(self._journal.spent)))
