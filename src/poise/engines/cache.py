"""An engine that replays from disk what it drew before: for development, tests and resumed studies."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from poise.core import Delta, Finish, Prompt, Sampling
from poise.engines.wrapper import Bill, Wrapper
from poise.seams import Engine, Stream

logger = logging.getLogger(__name__)

VERSION = 2  # raised where the same question draws otherwise


def cached(engine: Engine, folder: Path) -> Engine:
    """`engine`, replaying from `folder` the same deltas for the same model, prompt, sampling and n. What is asked for
    while it is being drawn waits for that.

    Only draws that repeat are kept: those with a seed or of temperature 0. A disk that fails is logged, not raised."""
    return _Cached(engine, Path(folder))


class _Cached(Wrapper):
    def __init__(self, engine: Engine, folder: Path) -> None:
        super().__init__(engine)
        self._folder = folder
        self._turns: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, Path], asyncio.Lock] = WeakValueDictionary()

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        if sampling.seed is None and sampling.temperature > 0:
            return self._engine.stream(prompt, sampling, n)
        bill = Bill()
        return Stream(self._deltas(prompt, sampling, n, bill), bill.settle)

    async def _deltas(self, prompt: Prompt, sampling: Sampling, n: int, bill: Bill) -> AsyncGenerator[Delta, None]:
        path = self._path(prompt, sampling, n)
        async with self._turns.setdefault((asyncio.get_running_loop(), path), asyncio.Lock()):
            known = _read(path)
            if _finishes(known) != n:
                stream = self._engine.stream(prompt, sampling, n)
                async with contextlib.aclosing(self._drawn(path, stream, n, bill)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
        for delta in known:
            yield delta

    async def _drawn(self, path: Path, stream: Stream, n: int, bill: Bill) -> AsyncGenerator[Delta, None]:
        drawn: list[Delta] = []
        try:
            async for delta in stream:
                drawn.append(delta)
                yield delta
        finally:
            await bill.close(stream)
            if _finishes(drawn) == n:
                _write(path, drawn)

    def _path(self, prompt: Prompt, sampling: Sampling, n: int) -> Path:
        said = [(message.role.value, message.text) for message in prompt]
        asked = [VERSION, self.card.name, said, dataclasses.asdict(sampling), n]
        digest = hashlib.sha256(json.dumps(asked, default=lambda member: member.value).encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest}.json"


def _finishes(deltas: Sequence[Delta]) -> int:
    return sum(delta.finish is not None for delta in deltas)


def _read(path: Path) -> list[Delta]:
    """The deltas kept there; none when nothing is, or nothing that can be read."""
    try:
        return [_delta(fields) for fields in json.loads(path.read_bytes())["deltas"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as failure:
        logger.warning("cache entry %s cannot be read and will be replaced: %s", path, failure)
        return []


def _write(path: Path, deltas: Sequence[Delta]) -> None:
    """Put an entry in its place whole, or not at all."""
    text = json.dumps({"version": VERSION, "deltas": [_fields(delta) for delta in deltas]})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
            os.replace(part, path)
        except OSError:
            os.unlink(part)
            raise
    except OSError as failure:
        logger.warning("a draw could not be kept in the cache: %s", failure)


def _fields(delta: Delta) -> dict[str, Any]:
    """The fields that say something, as JSON can hold them."""
    values = {field.name: getattr(delta, field.name) for field in dataclasses.fields(delta)}
    said = {
        field.name: values[field.name] for field in dataclasses.fields(delta) if values[field.name] != field.default
    }
    return said | ({"finish": delta.finish.value} if delta.finish else {})


def _delta(fields: dict[str, Any]) -> Delta:
    """The inverse of `_fields`."""
    finish = fields.get("finish")
    exact = {
        "finish": Finish(finish) if finish else None,
        "logprobs": tuple(fields.get("logprobs", ())),
        "alternatives": tuple(map(tuple, fields.get("alternatives", ()))),
        "token_ids": tuple(fields.get("token_ids", ())),
    }
    return Delta(**{**fields, **exact})
