"""Long work that Ctrl-C and SIGTERM end cleanly."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


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
