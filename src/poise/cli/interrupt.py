"""Long work that Ctrl-C and SIGTERM end cleanly."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import typer

T = TypeVar("T")


def resumable(work: Awaitable[T], folder: Path) -> T:
    """What `work` gives, which keeps what is finished in `folder`. Interrupted, it says so and exits with 130."""
    try:
        return asyncio.run(interruptible(work))
    except KeyboardInterrupt:
        typer.secho(f"stopped: what is finished is kept in {folder}, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None


async def interruptible(work: Awaitable[T]) -> T:
    """What `work` gives. Ctrl-C and SIGTERM cancel it, and it keeps what is finished; then KeyboardInterrupt."""
    task = asyncio.current_task()
    assert task
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
