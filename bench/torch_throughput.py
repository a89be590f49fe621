"""How fast the torch engine decodes: tokens/s of 64 different draws at once through the engine, beside `generate` of
transformers on the same weights, prompts and threads, its static cache included, in the type that `load_dense` holds
weights in on this machine.

They take turns; each pair of rounds gives one ratio. Target: the median ratio is >= 3.
Needs the default model and the torch extra: pip install "poise[torch]"; poise models fetch default.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import torch

from figures import Figure, parser, show
from poise.core import Request, Sampling
from poise.engines.torch_lm import TorchLM

QUESTIONS = [f"Tell a long story about a lighthouse keeper, the sea and {number} ships." for number in range(64)]


async def through_engine(engine: TorchLM, tokens: int, seed: int) -> float:
    """Tokens per second of one draw per question, all at once, prompts included."""

    async def one(number: int, question: str) -> int:
        sampling = Sampling(temperature=1.0, max_tokens=tokens, seed=seed * 1000 + number)
        stream = engine.stream(Request.ask(question).messages, sampling)
        return sum([delta.tokens async for delta in stream])

    started = time.perf_counter()
    made = await asyncio.gather(*(one(number, question) for number, question in enumerate(QUESTIONS)))
    return sum(made) / (time.perf_counter() - started)


def generated(engine: TorchLM, tokens: int, seed: int, cache: str | None) -> float:
    """Tokens per second of one call of `generate`, padded on the left, prompts included."""
    ids = [engine.ids(Request.ask(question).messages) for question in QUESTIONS]
    longest = max(map(len, ids))
    padded = torch.tensor([[0] * (longest - len(row)) + row for row in ids])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids])
    torch.manual_seed(seed)
    started = time.perf_counter()
    out = engine.model().generate(
        padded, attention_mask=mask, max_new_tokens=tokens, do_sample=True, pad_token_id=2, cache_implementation=cache
    )
    spent = time.perf_counter() - started
    ends = (out[:, longest:] == 2).int().cumsum(1)
    return int((ends <= 0).sum() + (ends.max(1).values > 0).sum()) / spent


async def compare(tokens: int, rounds: int) -> list[Figure]:
    """Interleaved rounds."""
    engine = TorchLM("default", slots=64, context=256)
    ours, theirs, fixed, ratios = [], [], [], []
    for seed in range(rounds + 1):
        speed = await through_engine(engine, tokens, seed)
        plain = generated(engine, tokens, seed, None)
        static = generated(engine, tokens, seed, "static")
        if seed:  # the first round warms up
            ours.append(speed)
            theirs.append(plain)
            fixed.append(static)
            ratios.append(speed / max(plain, static))
    await engine.aclose()
    ratio = statistics.median(ratios)
    return [
        Figure("torch engine, 64 draws", statistics.median(ours), "tokens/s"),
        Figure("generate, dynamic cache", statistics.median(theirs), "tokens/s"),
        Figure("generate, static cache", statistics.median(fixed), "tokens/s"),
        Figure("ratio to the faster one", ratio, "x", ">= 3", ratio >= 3),
    ]


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--tokens", type=int, default=64)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    show("Torch engine beside transformers", asyncio.run(compare(given.tokens, given.rounds)), given.json)


if __name__ == "__main__":
    main()
