"""How far an optimisation is: a bar in the terminal, a line every 30 seconds where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

if TYPE_CHECKING:
    from poise.tune.optimizer import Progress

QUIET_SECONDS = 30.0


class TuneBar:
    """`with TuneBar(prompt) as watch: await optimise(..., watch)`; `initial`: the prompt to begin with. The bar is the
    share of the budget; the accuracy is that of the prompt at hand, over all races that it has stood."""

    def __init__(
        self, initial: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._clock = console or Console(stderr=True), clock
        self._prompt, self._right, self._rows = initial, 0, 0
        self._said = clock()
        rest = Column(ratio=1, no_wrap=True)  # a long prompt is cut, and does not push the bar away
        told = TextColumn("{task.description}", markup=False, table_column=rest)
        columns = (BarColumn(24), TaskProgressColumn(), told)
        self._bar = RichProgress(*columns, console=self._console, disable=not self._console.is_terminal, expand=True)
        self._task = self._bar.add_task("the first step", total=None)

    def __enter__(self) -> TuneBar:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        now, told = self._clock(), self._told(progress)
        if self._console.is_terminal:
            self._bar.update(self._task, description=told, completed=progress.spent, total=progress.ceiling)
        elif now - self._said >= QUIET_SECONDS:
            self._said = now
            share = progress.spent / progress.ceiling
            self._console.print(f"{share:.0%} {told}", highlight=False, markup=False, soft_wrap=True)

    def _told(self, progress: Progress) -> str:
        """The step, and how the prompt does; after an edit was accepted, nothing is known of it yet."""
        if progress.judged is not None:
            doing = "testing" if progress.testing else "judging"
            return f"{doing} prompt {progress.judged + 1} of {progress.finalists}: {progress.prompt!r}"
        self._right, self._rows = self._right + progress.right, self._rows + progress.rows
        new = progress.prompt != self._prompt
        if new:
            self._prompt, self._right, self._rows = progress.prompt, 0, 0
        share = f"{self._right / self._rows:.1%} right of {self._rows}" if self._rows else "new prompt" if new else "-"
        return f"step {progress.step}, {share}: {progress.prompt!r}"
