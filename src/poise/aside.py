"""Blocking work beside the event loop that nobody waits for in the end.

`asyncio.to_thread` holds up the end of the loop, and of the process, until its work is done; a run that has answered at
its deadline must not wait for a scorer that is still loading its model. These threads are daemons.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_NAME = "poise-aside"


async def aside(work: Callable[P, T], *words: P.args, **more: P.kwargs) -> T:
    """What `work` returns or raises, carried out in a thread of its own. Cancelled, it goes on to its end, unheard."""
    told: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def carried_out() -> None:
        try:
            found = work(*words, **more)
        except BaseException as error:  # noqa: BLE001 - the boundary of the thread: who waits must hear of it
            tell(told, partial(told.set_exception, error))
        else:
            tell(told, partial(told.set_result, found))

    threading.Thread(target=carried_out, name=_NAME, daemon=True).start()
    return await told


def unheard() -> bool:
    """Whether such work is still going on."""
    return any(thread.name == _NAME for thread in threading.enumerate())


def tell(told: asyncio.Future[T], how: Callable[[], None]) -> None:
    """From any thread: do `how`, which settles `told`, in its loop, if there is still one, and somebody who waits."""
    with contextlib.suppress(RuntimeError):  # the loop is closed
        told.get_loop().call_soon_threadsafe(lambda: None if told.done() else how())
