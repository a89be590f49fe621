"""The embedded engine: llama.cpp in a child process, spoken to like any other server."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import os
from collections.abc import AsyncGenerator

from poise.core import Ability, Delta, Prompt, Sampling
from poise.costs import Load
from poise.engines.dialect import Dialect
from poise.engines.limit import limited
from poise.engines.llamacpp_process import Address, ServerProcess
from poise.engines.openai_http import OpenAIHTTP, Timeouts
from poise.engines.wrapper import Bill
from poise.errors import ConfigError, EngineUnreachable
from poise.models import ModelFile, locate
from poise.seams import Engine, Stream

SLOTS, CONTEXT = 16, 2048
# The first byte waits for the prompts of all slots to be read; a server that has died breaks the connection at once.
TIMEOUTS = Timeouts(first_byte=600.0, idle=120.0)
PROMPT_CACHE_MIB = 256  # llama.cpp's own default keeps up to 8 GiB of prompts that have left their slots


class LlamaCpp:
    """A GGUF model run by llama.cpp on this machine. The server starts with the first draw (about a second for 135 M
    parameters) and ends with `aclose` or with this process.

    `model`: see `poise.models.locate`; `slots`: draws at once (n of one call, too), the rest wait here; `context`:
    tokens of one slot, at most the model's own; `threads`: all cores we may use; 0 means the default. Raises
    ConfigError, ModelError.

    SEEDS only with one slot, which then forgets prompts between draws. Logits depend in their last bits on what a draw
    shares its batch with and on how much of its prompt was cached. Default model, same seeds, 64 tokens at T = 0.7: of
    draws alone and uncached 4 of 4 texts agreed; beside other draws 3 of 4; from a cached prompt 4 of 4 with one
    question and 0 of 4 with another. Greedy texts agreed throughout."""

    def __init__(
        self, model: str = "default", *, name: str = "llamacpp", slots: int = 0, context: int = 0, threads: int = 0
    ) -> None:
        for knob, value in (("slots", slots), ("context", context), ("threads", threads)):
            if value < 0:
                raise ConfigError(knob, value, "1 or more, or 0 for the default")
        if importlib.util.find_spec("xllamacpp") is None:
            raise ConfigError("engine", "llamacpp", 'pip install "poise[local]", or the URL of a server')
        found = locate(model)
        self.name, self.slots = name, slots or SLOTS
        self.context = context or min(CONTEXT, found.card.context)
        self.card = dataclasses.replace(found.card, context=self.context)
        _check_fits(found, self.slots, self.context)
        self.can = Dialect.LLAMACPP.traits.can - {Ability.SEEDS if self.slots > 1 else Ability.N_SAMPLES}
        self._process = ServerProcess(found.path, self._settings(threads or _cores()))
        self._http: tuple[Address, Engine] | None = None
        self._waiting = 0

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        """Starts the server when it does not run. Raises, from the iteration, EngineErrors and ModelError."""
        bill = Bill()
        return Stream(self._deltas(prompt, sampling, n, bill), bill.settle)

    def load(self) -> Load:
        """Draws that wait for the server to start are queued."""
        load = self._http[1].load() if self._http else Load(slots=self.slots)
        return dataclasses.replace(load, queued=load.queued + self._waiting)

    async def start(self) -> None:
        """Load the model now, rather than with the first draw."""
        await self._connected()

    async def aclose(self) -> None:
        """End the server and free its memory; another draw would start it again."""
        http, self._http = self._http, None
        if http:
            await http[1].aclose()
        await asyncio.to_thread(self._process.stop)

    async def _deltas(self, prompt: Prompt, sampling: Sampling, n: int, bill: Bill) -> AsyncGenerator[Delta, None]:
        stream = (await self._connected()).stream(prompt, sampling, n)
        try:
            async for delta in stream:
                yield delta
        except EngineUnreachable:
            await asyncio.to_thread(self._process.await_end)  # so that the next call starts another server
            raise
        finally:
            await bill.close(stream)

    async def _connected(self) -> Engine:
        """The HTTP engine of the running server."""
        address = self._process.running
        if address is None:
            self._waiting += 1
            try:
                address = await asyncio.to_thread(self._process.start)
            finally:
                self._waiting -= 1
        if self._http and self._http[0] == address:
            return self._http[1]
        dead, engine = self._http, self._engine(address)
        self._http = address, engine
        if dead:
            await dead[1].aclose()
        return engine

    def _engine(self, address: Address) -> Engine:
        http = OpenAIHTTP(
            address.url,
            "default",
            name=self.name,
            api_key=address.key,
            dialect=Dialect.LLAMACPP,
            card=self.card,
            timeouts=TIMEOUTS,
            slots=self.slots,
            abilities=self.can,
        )
        return limited(http, self.slots)

    def _settings(self, threads: int) -> dict[str, int | bool | str]:
        """llama.cpp's own names."""
        return {
            "n_parallel": self.slots,
            "n_ctx": self.slots * self.context,
            "threads": threads,
            "cache_type": "F16",
            "cache_prompt": self.slots > 1,
            "cache_ram_mib": PROMPT_CACHE_MIB if self.slots > 1 else 0,
            "port": 0,
        }


def _check_fits(model: ModelFile, slots: int, context: int) -> None:
    """Refuse what the model was not made for and what would end in the kernel killing processes."""
    if context > model.card.context:
        raise ConfigError("context", context, f"at most the {model.card.context:,} tokens of {model.card.name}")
    needed = slots * context * model.cache_bytes_per_token + model.path.stat().st_size
    there = _memory_bytes()
    if needed > there:
        raise ConfigError(
            "slots x context",
            slots * context,
            f"what fits into {there / 1e9:.0f} GB of memory (this needs {needed / 1e9:.0f}): fewer or shorter slots",
        )


def _memory_bytes() -> float:
    """Of the machine; no limit where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _cores() -> int:
    """Those this process may run on, where the system says."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
