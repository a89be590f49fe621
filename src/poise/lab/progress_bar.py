"""How far a training is: a bar in the terminal, a line every 30 seconds where there is none."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

if TYPE_CHECKING:
    from poise.lab.train import Progress as TrainingProgress

QUIET_SECONDS = 30.0
_RECENT = 30  # steps whose pace the forecast follows: the first ones are slow, because layers are compiled


class TrainingBar:
    """`with TrainingBar(tokens) as watch: session.train(watch=watch)`; `tokens`: done by earlier sittings."""

    def __init__(
        self, tokens: int = 0, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._clock = console or Console(stderr=True), clock
        self._recent = deque([(clock(), tokens)], _RECENT)
        self._said = clock()
        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("the first step compiles the layers", completed=tokens, total=None)

    def __enter__(self) -> TrainingBar:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def __call__(self, progress: TrainingProgress) -> None:
        now = self._clock()
        self._recent.append((now, progress.tokens))
        if self._console.is_terminal:
            self._bar.update(
                self._task, description=self.told(progress), completed=progress.tokens, total=progress.of_tokens
            )
        elif now - self._said >= QUIET_SECONDS or progress.tokens >= progress.of_tokens:
            self._said = now
            share = progress.tokens / progress.of_tokens
            self._console.print(f"{share:.0%} {self.told(progress)}", highlight=False, markup=False, soft_wrap=True)

    def told(self, progress: TrainingProgress) -> str:
        """The forecast, the pace, and the losses, in nats per token."""
        (then, before), (now, done) = self._recent[0], self._recent[-1]
        pace = (done - before) / (now - then) if now > then else 0.0
        left = max(0, progress.of_tokens - progress.tokens)
        eta = str(timedelta(seconds=round(left / pace))) if pace else "?"
        losses = ", ".join(f"{name} {loss:.3f}" for name, loss in progress.validation.items())
        said = f"step {progress.step}, ETA {eta}, {pace:.0f} tokens/s, loss {progress.loss:.3f}"
        return f"{said}; validation: {losses}" if losses else said
