"""The embedded engine: llama.cpp in a child process, spoken to like any other server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator

from poise.core import Ability, Delta, Prompt, Sampling
from poise.costs import Load, Overrun
from poise.engines.dialect import Dialect
from poise.engines.limit import limited
from poise.engines.llamacpp_process import Address, ServerProcess
from poise.engines.openai_http import OpenAIHTTP, Timeouts
from poise.errors import ConfigError
from poise.models import locate
from poise.seams import Engine, Stream

SLOTS, CONTEXT = 16, 2048
_MOST_TOKENS = 4_000_000


class LlamaCpp:
    """A GGUF model run by llama.cpp on this machine. The server starts with the first draw (about a second for 135 M
    parameters) and ends with `aclose` or with this process.

    `model`: see `poise.models.locate`; `slots`: draws at once, the rest wait here; `context`: tokens of one slot, at
    most the model's own; `threads`: all cores we may use; 0 means the default. Raises ConfigError, ModelError."""

    def __init__(
        self, model: str = "default", *, name: str = "llamacpp", slots: int = 0, context: int = 0, threads: int = 0
    ) -> None:
        for knob, value in (("slots", slots), ("context", context), ("threads", threads)):
            if value < 0:
                raise ConfigError(knob, value, "1 or more, or 0 for the default")
        found = locate(model)
        self.name, self.card = name, found.card
        self.slots = slots or SLOTS
        self.context = min(context or CONTEXT, found.card.context or CONTEXT)
        if self.slots * self.context > _MOST_TOKENS:
            raise ConfigError("slots x context", self.slots * self.context, f"at most {_MOST_TOKENS:,} tokens in all")
        self.can = Dialect.LLAMACPP.traits.can - ({Ability.SEEDS} if self.slots > 1 else frozenset())
        self._process = ServerProcess(found.path, self._settings(threads or len(os.sched_getaffinity(0))))
        self._http: tuple[Address, Engine] | None = None

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """Starts the server when it does not run. Raises, from the iteration, EngineErrors and ModelError."""
        inner: list[Stream] = []

        async def settle() -> Overrun:
            return await inner[0].settle() if inner else Overrun()

        return Stream(self._deltas(prompt, sampling, n, inner), settle)

    def load(self) -> Load:
        return self._http[1].load() if self._http else Load(slots=self.slots)

    async def aclose(self) -> None:
        """End the server and free its memory; another draw would start it again."""
        if self._http:
            await self._http[1].aclose()
        await asyncio.to_thread(self._process.stop)
        self._http = None

    async def start(self) -> None:
        """Load the model now, rather than with the first draw."""
        await self._connected()

    async def _deltas(
        self, prompt: Prompt, sampling: Sampling, n: int, inner: list[Stream]
    ) -> AsyncGenerator[Delta, None]:
        stream = (await self._connected()).stream(prompt, sampling, n)
        inner.append(stream)
        try:
            async for delta in stream:
                yield delta
        finally:
            await stream.aclose()

    async def _connected(self) -> Engine:
        """The HTTP engine of the running server."""
        address = self._process.running
        if address is None:
            address = await asyncio.to_thread(self._process.start)
        if self._http is None or self._http[0] != address:
            http = OpenAIHTTP(
                address.url,
                "default",
                name=self.name,
                api_key=address.key,
                dialect=Dialect.LLAMACPP,
                card=self.card,
                timeouts=Timeouts(first_byte=120.0, idle=60.0),
                slots=self.slots,
            )
            self._http = address, limited(http, self.slots)
        return self._http[1]

    def _settings(self, threads: int) -> dict[str, int | bool | str | None]:
        """llama.cpp's own names. Prompts of this size are read in one batch."""
        return {
            "n_parallel": self.slots,
            "n_ctx": self.slots * self.context,
            "threads": threads,
            "cache_type": "F16",
            "port": 0,
        }
