"""How far a benchmark is: plain numbers, and a bar in the terminal (a line every 30 seconds where there is none)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from poise.evals.rows import Row

QUIET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ArmProgress:
    """One arm so far; failed questions are done and not correct."""

    arm: str
    done: int = 0
    correct: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Questions (times arms) so far. `before`: of `done`, how many earlier sittings finished; `new_tokens` and
    `seconds` are of this sitting."""

    done: int
    total: int
    before: int
    arms: tuple[ArmProgress, ...]
    new_tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens per second of this sitting, over all questions at once."""
        return self.new_tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_seconds(self) -> float | None:
        """Seconds to the end at this sitting's pace; None before its first question."""
        here = self.done - self.before
        return (self.total - self.done) * self.seconds / here if here else None

    def __str__(self) -> str:
        arms = ", ".join(f"{arm.arm} {arm.correct / arm.done:.1%}" for arm in self.arms if arm.done)
        failed = sum(arm.failed for arm in self.arms)
        eta = "?" if self.eta_seconds is None else _clock(self.eta_seconds)
        return f"ETA {eta}, {self.tokens_per_second:.0f} tokens/s; {arms}" + (f"; {failed} failed" if failed else "")


class Tally:
    """Counts rows as they come."""

    def __init__(self, arms: Iterable[str], total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._arms = {arm: ArmProgress(arm) for arm in arms}
        self._total, self._clock, self._started = total, clock, clock()
        self._done = self._before = self._new_tokens = 0

    def start(self) -> None:
        """What was added until now is of earlier sittings."""
        self._before, self._new_tokens, self._started = self._done, 0, self._clock()

    def add(self, row: Row) -> None:
        """One more row."""
        arm, failed = self._arms[row.arm], row.error is not None
        self._arms[row.arm] = ArmProgress(arm.arm, arm.done + 1, arm.correct + row.correct, arm.failed + failed)
        self._done += 1
        self._new_tokens += row.usage.new_tokens

    def progress(self) -> Progress:
        """Where we are."""
        arms, seconds = tuple(self._arms.values()), self._clock() - self._started
        return Progress(self._done, self._total, self._before, arms, self._new_tokens, seconds)


class ProgressBar:
    """`with ProgressBar() as watch: await bench(..., watch)`: a bar on a terminal, else a line every 30 seconds."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console or Console(stderr=True), clock
        self._said = clock()
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = RichProgress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        now, ended = self._clock(), progress.done == progress.total
        pause = 0.1 if self._console.is_terminal else QUIET_SECONDS
        if now - self._said < pause and not ended:
            return
        self._said = now
        if self._console.is_terminal:
            self._bar.update(self._task, description=str(progress), completed=progress.done, total=progress.total)
        else:
            self._console.print(f"{progress.done}/{progress.total} {progress}", highlight=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
