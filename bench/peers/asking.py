"""What every peer's script shares: the job it is given, and how answers are written. Standard library only, because it
runs in the peer's own virtual environment.

    python peer_NAME.py JOB.json ANSWERS.jsonl

A job has url, key, model, method, n, parallel (questions at once), temperature, max_tokens, pattern (a regular
expression whose first group is the answer), port (free, for a service of the peer's own), folder (to write into), and
questions ({id, question}). One line is written per question - id, text, seconds, reported (tokens the system said it
used, null: it does not say), error - and one at the end: wall, the seconds from the first question to the last answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Job = dict[str, Any]
Told = tuple[str, "int | None"]  # the text of the answer; tokens reported


def job() -> Job:
    """The job on the command line."""
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def _line(question: dict[str, str], started: float, told: Told, error: str = "") -> dict[str, Any]:
    seconds = time.perf_counter() - started
    return {"id": question["id"], "text": told[0], "seconds": seconds, "reported": told[1], "error": error}


def _write(lines: list[dict[str, Any]], wall: float) -> None:
    with Path(sys.argv[2]).open("w", encoding="utf-8") as file:
        for line in [*lines, {"wall": wall}]:
            file.write(json.dumps(line) + "\n")


def in_threads(given: Job, ask: Callable[[str], Told]) -> None:
    """Ask all questions, `parallel` at once, by a function that blocks."""

    def one(question: dict[str, str]) -> dict[str, Any]:
        started = time.perf_counter()
        try:
            return _line(question, started, ask(question["question"]))
        except Exception as failure:  # noqa: BLE001 - a peer's own failures are what we report
            return _line(question, started, ("", None), f"{type(failure).__name__}: {failure}"[:300])

    started = time.perf_counter()
    with ThreadPoolExecutor(given["parallel"]) as pool:
        lines = list(pool.map(one, given["questions"]))
    _write(lines, time.perf_counter() - started)


async def at_once(given: Job, ask: Callable[[str], Awaitable[Told]]) -> None:
    """Ask all questions, `parallel` at once, by a coroutine."""
    room = asyncio.Semaphore(given["parallel"])

    async def one(question: dict[str, str]) -> dict[str, Any]:
        async with room:
            started = time.perf_counter()
            try:
                return _line(question, started, await ask(question["question"]))
            except Exception as failure:  # noqa: BLE001 - as above
                return _line(question, started, ("", None), f"{type(failure).__name__}: {failure}"[:300])

    started = time.perf_counter()
    lines = await asyncio.gather(*(one(question) for question in given["questions"]))
    _write(list(lines), time.perf_counter() - started)


def post(url: str, body: dict[str, Any], key: str = "x", timeout: float = 600.0) -> dict[str, Any]:
    """JSON to a service, and its JSON back."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return json.loads(reply.read())


@contextlib.contextmanager
def service(command: list[str], health: str, given: Job, **environment: str) -> Iterator[None]:
    """A peer's own server, up for as long as the block runs; what it says goes to a file in the job's folder."""
    folder = Path(given["folder"])
    with (folder / "service.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **environment})
        try:
            _await(health, process)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(health: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with status {process.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError("the service did not come up within 10 minutes")
