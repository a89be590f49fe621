"""An OpenAI-compatible server that counts what it really served, for many clients to be compared on.

    python upstream.py PORT               environment: TTFT=0.05 s, RATE=50 tokens/s a sequence, SLOTS=0 (any number);
                                          BEHIND=URL and BEHIND_KEY: text of that llama.cpp server, not by the law

POST /v1/chat/completions (n, stream, stream_options, max_tokens, logprobs) and /api/generate (Ollama's); GET
/v1/models and /stats; POST /reset. Tokens are counted as they are made; a client that goes away stops them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
import weakref
from collections.abc import Sequence as Items
from typing import Any

from aiohttp import web
from sequences import Behind, ByLaw, Piece, Sequence, Source


class Counters:
    """What was served since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget; calls that still run are forgotten too."""
        self.tokens = self.prompt_tokens = self.calls = self.draws = self.broken_off = 0
        self.in_flight = self.most_in_flight = self.connections = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def opened(self, request: web.Request) -> None:
        """A call begins, perhaps on a new connection."""
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if request.transport not in self._seen:
            self._seen.add(request.transport)
            self.connections += 1

    def closed(self, samples: Items[Sequence]) -> None:
        """A call ended, however it did."""
        self.in_flight -= 1
        self.draws += len(samples)
        self.tokens += sum(sample.made for sample in samples)
        self.prompt_tokens += max((sample.prompt_tokens for sample in samples), default=0)

    def told(self) -> dict[str, int]:
        """As JSON."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class Upstream:
    """The handlers of one server."""

    def __init__(self, source: Source) -> None:
        self.source, self.counters = source, Counters()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        body = await request.json()
        messages = [{"role": m["role"], "content": _text(m.get("content"))} for m in body["messages"]]
        return await self._served(request, body, messages, body.get("n") or 1)

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """POST /api/generate, as Ollama has it, without streaming."""
        body = await request.json()
        options = body.get("options") or {}
        asked = {"max_tokens": options.get("num_predict"), "temperature": options.get("temperature", 0.8)}
        messages = [{"role": "user", "content": body["prompt"]}]
        if body.get("system"):
            messages.insert(0, {"role": "system", "content": body["system"]})
        return await self._served(request, asked | {"ollama": True}, messages, 1)

    async def _served(
        self, request: web.Request, body: dict[str, Any], messages: list[dict[str, str]], n: int
    ) -> web.StreamResponse:
        samples: list[Sequence] = []
        self.counters.opened(request)
        try:
            samples = self.source.sequences(body, messages, n)
            if body.get("stream"):
                return await _streamed(request, body, samples)
            texts = await asyncio.gather(*(sample.whole() for sample in samples))
            if body.get("ollama"):
                return web.json_response(_ollama(texts[0], samples[0]))
            return web.json_response(_completion(body, texts, samples))
        except ValueError as flaw:
            return web.json_response({"error": {"message": str(flaw), "type": "invalid_request_error"}}, status=400)
        except (asyncio.CancelledError, ConnectionError, ExceptionGroup):
            self.counters.broken_off += 1
            raise
        finally:
            self.counters.closed(samples)

    async def stats(self, _: web.Request) -> web.Response:
        """GET /stats."""
        return web.json_response(self.counters.told())

    async def reset(self, _: web.Request) -> web.Response:
        """POST /reset."""
        self.counters.reset()
        self.source.forget()
        return web.json_response({})

    async def aclose(self, _: web.Application) -> None:
        """The server ends."""
        await self.source.aclose()


def _text(content: Any) -> str:
    """A message's text, given whole or in parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())


def _usage(samples: Items[Sequence]) -> dict[str, int]:
    prompt, new = samples[0].prompt_tokens, sum(sample.made for sample in samples)
    return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": int(time.time()), "model": body.get("model", "m")}


def _logprobs(pieces: Items[Piece]) -> dict[str, Any]:
    return {"content": [{"token": text, "logprob": logprob, "top_logprobs": []} for text, logprob in pieces]}


def _completion(body: dict[str, Any], texts: Items[list[Piece]], samples: Items[Sequence]) -> dict[str, Any]:
    choices = []
    for index, (pieces, sample) in enumerate(zip(texts, samples, strict=True)):
        message = {"role": "assistant", "content": "".join(text for text, _ in pieces)}
        logprobs = _logprobs(pieces) if body.get("logprobs") else None
        choices.append({"index": index, "message": message, "finish_reason": sample.finish, "logprobs": logprobs})
    return {**_head(body, "chat.completion"), "choices": choices, "usage": _usage(samples)}


def _ollama(pieces: list[Piece], sample: Sequence) -> dict[str, Any]:
    text = "".join(text for text, _ in pieces)
    counts = {"prompt_eval_count": sample.prompt_tokens, "eval_count": sample.made}
    return {"model": "m", "response": text, "done": True, "done_reason": sample.finish, **counts}


async def _streamed(request: web.Request, body: dict[str, Any], samples: Items[Sequence]) -> web.StreamResponse:
    """Chunks of all samples as they are made, one token each; then the usage."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    head = _head(body, "chat.completion.chunk")

    async def send(**fields: Any) -> None:
        await response.write(f"data: {json.dumps({**head, **fields})}\n\n".encode())

    async def one(index: int, sample: Sequence) -> None:
        async with contextlib.aclosing(sample.stream()) as pieces:  # gives its slot back when the client goes away
            async for text, logprob in pieces:
                choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
                if body.get("logprobs"):
                    choice["logprobs"] = _logprobs([(text, logprob)])
                await send(choices=[choice])
        await send(choices=[{"index": index, "delta": {}, "finish_reason": sample.finish}])

    async with asyncio.TaskGroup() as tasks:
        for index, sample in enumerate(samples):
            tasks.create_task(one(index, sample))
    if (body.get("stream_options") or {}).get("include_usage"):
        await send(choices=[], usage=_usage(samples))
    await response.write(b"data: [DONE]\n\n")
    return response


async def models(_: web.Request) -> web.Response:
    """GET /v1/models."""
    return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})


def app() -> web.Application:
    """The server, from the environment."""
    environment = os.environ
    if behind := environment.get("BEHIND"):
        sampler = {"samplers": ["top_k", "temperature", "top_p"], "top_k": 1000}  # as Poise asks llama.cpp by itself
        source: Source = Behind(behind, environment.get("BEHIND_KEY", ""), sampler)
    else:
        pace = float(environment.get("TTFT", "0.05")), float(environment.get("RATE", "50"))
        source = ByLaw(int(environment.get("SLOTS", "0")), *pace)
    upstream = Upstream(source)
    made = web.Application(client_max_size=16 * 2**20)
    made.router.add_post("/v1/chat/completions", upstream.chat)
    made.router.add_post("/api/generate", upstream.generate)
    made.on_cleanup.append(upstream.aclose)
    made.router.add_get("/v1/models", models)
    made.router.add_get("/stats", upstream.stats)
    made.router.add_post("/reset", upstream.reset)
    return made


if __name__ == "__main__":
    web.run_app(app(), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, handler_cancellation=True)
