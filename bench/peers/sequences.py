"""Where an upstream's text comes from: drawn by the law, or from a real server behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import law

Piece = tuple[str, float]  # a token and its logprob


class Sequence(Protocol):
    """One sample in the making. `made`: tokens generated so far, also after it was broken off."""

    finish: str
    prompt_tokens: int

    @property
    def made(self) -> int: ...

    def stream(self) -> AsyncGenerator[Piece, None]: ...

    async def whole(self) -> list[Piece]: ...


class Source(Protocol):
    """Makes sequences for the body of a call, in the order in which they are asked for."""

    def sequences(self, body: Mapping[str, Any], messages: list[dict[str, str]], n: int) -> list[Sequence]: ...

    def forget(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass
class Drawn:
    """Tokens that are known beforehand, told one by one at a fixed rate after a wait for the prompt. The times of all
    tokens are set when it starts, so that a busy machine delays some and slows none. Made are those that were told; of
    a sample that is told whole at its end, those that were due when it was broken off."""

    tokens: list[Piece]
    prompt_tokens: int
    slots: asyncio.Semaphore
    first_byte_seconds: float
    rate: float
    finish: str = "stop"
    started: float = 0.0
    made: int = 0

    async def stream(self) -> AsyncGenerator[Piece, None]:
        async with self._running():
            for place, piece in enumerate(self.tokens, 1):
                await self._until(place)
                self.made = place
                yield piece

    async def whole(self) -> list[Piece]:
        async with self._running():
            try:
                await self._until(len(self.tokens))
                self.made = len(self.tokens)
            finally:
                due = int((time.monotonic() - self.started - self.first_byte_seconds) * self.rate)
                self.made = max(self.made, min(len(self.tokens), due))
        return self.tokens

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncGenerator[None, None]:
        async with self.slots:
            self.started = time.monotonic()
            yield

    async def _until(self, place: int) -> None:
        due = self.started + self.first_byte_seconds + place / self.rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))


class ByLaw:
    """Drafts by `law`, and ratings for prompts that quote a draft. `slots`: sequences at once (0: any number); what is
    more waits, first come, first served."""

    def __init__(self, slots: int, first_byte_seconds: float, rate: float) -> None:
        self._slots = asyncio.Semaphore(slots or 1_000_000)
        self._pace = first_byte_seconds, rate
        self._drawn: dict[int, int] = {}

    def forget(self) -> None:
        self._drawn.clear()

    async def aclose(self) -> None:
        """Nothing is open."""

    def sequences(self, body: Mapping[str, Any], messages: list[dict[str, str]], n: int) -> list[Sequence]:
        text = "\n".join(message["content"] for message in messages)
        return [self._sequence(text, body) for _ in range(n)]

    def _sequence(self, text: str, body: Mapping[str, Any]) -> Sequence:
        number, judged = law.asked(text), law.rated(text)
        if number is None:
            raise ValueError("no question of ours is in the prompt")
        if judged is not None:
            tokens = [(token, 0.0) for token in judgement(law.rating(number, judged), text)]
        else:
            i = self._drawn.get(number, 0)
            self._drawn[number] = i + 1
            drawn = law.draw(number, i)
            tokens = [(token, drawn.logprob) for token in drawn.tokens]
        most = body.get("max_completion_tokens") or body.get("max_tokens") or len(tokens)
        finish = "stop" if len(tokens) <= most else "length"
        return Drawn(tokens[:most], len(text.split()), self._slots, *self._pace, finish)


def judgement(rating: int, prompt: str) -> list[str]:
    """A rating in the form that the prompt asks for: an object of JSON, or the bare number."""
    if "json" in prompt.lower():
        return ['{"', "reasoning", '": "', "checked", '", "', "score", '": ', str(rating), "}"]
    return [str(rating)]


@dataclass
class Relayed:
    """A sample of a llama.cpp server, always streamed, so that what was made is known when it is broken off."""

    http: aiohttp.ClientSession
    url: str
    body: dict[str, Any]
    made: int = 0
    finish: str = "stop"
    prompt_tokens: int = 0

    async def stream(self) -> AsyncGenerator[Piece, None]:
        async with self.http.post(self.url, json=self.body) as reply:
            reply.raise_for_status()
            async for line in reply.content:
                if line.startswith(b"data: ") and line[6:].strip() != b"[DONE]":
                    chunk = json.loads(line[6:])
                    for choice in chunk.get("choices", ()):
                        self.finish = choice.get("finish_reason") or self.finish
                        if piece := self._piece(choice, chunk):
                            yield piece
                    self._note(chunk)

    async def whole(self) -> list[Piece]:
        return [piece async for piece in self.stream()]

    def _piece(self, choice: dict[str, Any], chunk: dict[str, Any]) -> Piece | None:
        self._note(chunk)
        text = (choice.get("delta") or {}).get("content")
        entries = (choice.get("logprobs") or {}).get("content") or [{"logprob": 0.0}]
        return (text, entries[0]["logprob"]) if text else None

    def _note(self, chunk: dict[str, Any]) -> None:
        if timings := chunk.get("timings"):
            self.made = int(timings["predicted_n"])
            self.prompt_tokens = int(timings["prompt_n"]) + int(timings["cache_n"])


@dataclass
class Behind:
    """Samples of a llama.cpp server at a URL; what is asked of it is the same for every system: temperature, top_p, the
    most tokens, the stop strings."""

    url: str
    key: str
    extra: dict[str, Any] = field(default_factory=dict)
    _http: aiohttp.ClientSession | None = None

    def forget(self) -> None:
        """Nothing is kept between calls."""

    async def aclose(self) -> None:
        if self._http:
            await self._http.close()

    def sequences(self, body: Mapping[str, Any], messages: list[dict[str, str]], n: int) -> list[Sequence]:
        if self._http is None:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)  # the server closes after every stream
            headers = {"Authorization": f"Bearer {self.key}"}
            self._http = aiohttp.ClientSession(connector=connector, headers=headers, timeout=aiohttp.ClientTimeout())
        asked = {key: body[key] for key in ("temperature", "top_p", "stop", "logprobs", "top_logprobs") if key in body}
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 256
        whole = {"messages": messages, "max_tokens": most, "stream": True, "timings_per_token": True} | self.extra
        return [Relayed(self._http, f"{self.url}/v1/chat/completions", whole | asked) for _ in range(n)]
