"""What the wrappers of engines share: all but `stream` is passed on, and the streams beneath are settled."""

from __future__ import annotations

from poise.core import Ability, Thinking
from poise.costs import Card, Load, Overrun
from poise.seams import Engine, Stream


class Wrapper:
    """An engine but for `stream`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def card(self) -> Card:
        return self._engine.card

    @property
    def can(self) -> frozenset[Ability]:
        return self._engine.can

    @property
    def thinking(self) -> Thinking | None:
        """How the engine thinks where a draw does not say; None where it cannot."""
        return getattr(self._engine, "thinking", None)

    def load(self) -> Load:
        return self._engine.load()

    async def aclose(self) -> None:
        await self._engine.aclose()


class Bill:
    """What the streams beneath one stream overran. Its `settle` is that stream's own."""

    def __init__(self) -> None:
        self._overrun = Overrun()

    async def close(self, stream: Stream) -> None:
        """Close a stream and add what it overran."""
        more = await stream.aclose()
        self._overrun = Overrun(self._overrun.tokens + more.tokens, self._overrun.exact and more.exact)

    async def settle(self) -> Overrun:
        """The sum."""
        return self._overrun
