"""What Poise adds to real generation: tokens/s of the embedded engine through `Run`, beside a plain aiohttp loop.

Both draw the same prompt from the same llama.cpp server, so many draws at once, each to its full length; they take
turns (Poise first, then last), and each pair of rounds gives one ratio. Target: the median ratio is >= .95 at 8 and at
32. The first round of both, which reads the prompt, is not counted.
Needs the default model: poise models fetch default.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time

import aiohttp

from figures import Figure, parser, show
from poise import prompts
from poise.config import plan_of
from poise.core import Kind, Request, Sampling
from poise.engines.llamacpp import LlamaCpp
from poise.knobs import strategy
from poise.run import solve

QUESTION = "Tell a long story about a lighthouse keeper and the sea, in many chapters."


class Rounds:
    """Rounds of `parallel` draws of `tokens` each, against one server. Each returns tokens per second."""

    def __init__(self, engine: LlamaCpp, parallel: int, tokens: int) -> None:
        self.engine, self.parallel = engine, parallel
        self.request = Request.ask(QUESTION, Kind.TEXT, Sampling(temperature=0.7, max_tokens=tokens))
        self.plan = plan_of(strategy(f"self_consistency:n={parallel},prompt=direct"))
        rendered = prompts.load("direct").render(self.request)
        self.body = {
            "messages": [{"role": message.role.value, "content": message.text} for message in rendered],
            "temperature": 0.7,
            "max_tokens": tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    async def through_run(self, seed: int) -> float:
        """One run: launched, metered, traced."""
        started = time.perf_counter()
        answer = await solve(self.request, self.plan, {"main": self.engine}, seed=seed)
        return answer.usage.new_tokens / (time.perf_counter() - started)

    async def plainly(self, http: aiohttp.ClientSession, url: str) -> float:
        """As many streams read side by side; of each, only the usage at its end is looked at."""

        async def one(seed: int) -> int:
            async with http.post(f"{url}/v1/chat/completions", json={**self.body, "seed": seed}) as reply:
                last = b""
                async for line in reply.content:
                    if b'"usage"' in line:
                        last = line
            return int(json.loads(last.removeprefix(b"data: "))["usage"]["completion_tokens"])

        started = time.perf_counter()
        tokens = sum(await asyncio.gather(*(one(seed) for seed in range(self.parallel))))
        return tokens / (time.perf_counter() - started)


async def measure(parallel: int, tokens: int, pairs: int) -> list[Figure]:
    """Take turns, and compare pair by pair."""
    engine = LlamaCpp(name="main", slots=parallel)
    await engine.start()
    address = engine._process.running
    assert address
    rounds, ours, plain = Rounds(engine, parallel, tokens), [], []
    try:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {address.key}"}) as http:
            await rounds.plainly(http, address.url)
            await rounds.through_run(0)
            for pair in range(pairs):
                for which in (0, 1) if pair % 2 == 0 else (1, 0):
                    if which == 0:
                        ours.append(await rounds.through_run(pair))
                    else:
                        plain.append(await rounds.plainly(http, address.url))
    finally:
        await engine.aclose()
    ratios = [mine / other for mine, other in zip(ours, plain, strict=True)]
    ratio = statistics.median(ratios)
    spread = f"{min(ratios):.3f} to {max(ratios):.3f} over {pairs} pairs"
    return [
        Figure(f"{parallel} draws at once, through Run", statistics.median(ours), "tokens/s"),
        Figure(f"{parallel} draws at once, plain loop", statistics.median(plain), "tokens/s"),
        Figure(f"{parallel} draws at once, ratio", ratio, spread, ">= .95", ratio >= 0.95),
    ]


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--parallel", type=int, nargs="+", default=[8, 32])
    arguments.add_argument("--tokens", type=int, default=64, help="length of a draw")
    arguments.add_argument("--pairs", type=int, default=4)
    options = arguments.parse_args()
    figures = []
    for parallel in options.parallel:
        figures += asyncio.run(measure(parallel, options.tokens, options.pairs))
    show("Embedded engine, through Run and through a plain HTTP loop", figures, options.json)


if __name__ == "__main__":
    main()
