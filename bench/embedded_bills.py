"""What every strategy is billed, against the counters of the engine that served it: tokens generated, overrun included,
and tokens of prompts that were really read, by llama.cpp's own account.

Word problems on the embedded engine, one strategy after another; searches score by `surprisal`. Target: generated
tokens within 1 % for every strategy. Needs the default model.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from dataclasses import dataclass

from figures import Figure, parser, show
from poise import registry
from poise.config import plan_of
from poise.core import Request, Sampling
from poise.engines.llamacpp import LlamaCpp
from poise.evals.grade import questions_of
from poise.knobs import knobs_of, strategy
from poise.run import solve
from poise.scorers import Scorers
from poise.seams import Strategy

TASK = "gsm_symbolic:templates=0-84"


@dataclass(frozen=True)
class Counted:
    """Since the server started: tokens generated, and tokens of prompts that were run through the model."""

    made: int
    read: int


def asked(engine: LlamaCpp, path: str) -> str:
    """What the server says."""
    address = engine._process.running
    assert address is not None
    request = urllib.request.Request(address.url + path, headers={"Authorization": f"Bearer {address.key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())


async def counters(engine: LlamaCpp) -> Counted:
    """Once all slots are idle."""
    for _ in range(600):
        if not any(slot["is_processing"] for slot in json.loads(await asyncio.to_thread(asked, engine, "/slots"))):
            break
        await asyncio.sleep(0.05)
    metrics = await asyncio.to_thread(asked, engine, "/metrics")
    made, read = (re.search(rf"{name} (\d+)", metrics) for name in ("tokens_predicted_total", "prompt_tokens_total"))
    assert made is not None
    assert read is not None
    return Counted(int(made[1]), int(read[1]))


def made_narrow(name: str) -> Strategy:
    """A strategy with at most 8 draws or paths; the rest by default."""
    knobs = knobs_of(registry.strategy_class(name))
    narrow = {knob: 8 for knob in ("n", "width") if knobs.get(knob, "").isdigit() and int(knobs[knob]) > 8}
    return strategy(
        {"strategy": name, "prompt": "bare", **narrow} if "prompt" in knobs else {"strategy": name, **narrow}
    )


async def bill(engine: LlamaCpp, chosen: Strategy, questions: list[str]) -> list[Figure]:
    """One strategy over some questions, two at once."""
    plan = plan_of(chosen, scorer="surprisal" if chosen.scored else None)
    scorers, room = Scorers(), asyncio.Semaphore(2)
    before = await counters(engine)

    async def one(number: int, question: str) -> tuple[int, int, int]:
        async with room:
            request = Request.ask(question, sampling=Sampling(0.7, max_tokens=192))
            answer = await solve(request, plan, {"main": engine}, scorers, number)
        usage = answer.usage
        return usage.new_tokens, usage.overrun_tokens, usage.prompt_tokens - usage.cached_prompt_tokens

    told = await asyncio.gather(*(one(number, question) for number, question in enumerate(questions)))
    new, overrun, read = (sum(part) for part in zip(*told, strict=True))
    after = await counters(engine)
    made, ran = after.made - before.made, after.read - before.read
    off, off_read = 100 * (new + overrun - made) / made, 100 * (read - ran) / ran
    about = f"% off, of {made} ({overrun} overrun)"
    return [
        Figure(f"{chosen.name}: generated", off, about, "within 1", abs(off) <= 1),
        Figure(f"{chosen.name}: prompts read", off_read, f"% off, of {ran}"),
    ]


async def measure(names: list[str], questions: int) -> list[Figure]:
    """All strategies, each on the same questions."""
    engine = LlamaCpp(slots=16)
    items = [each.item.question for each in questions_of((TASK,), questions, 4_200).values()]
    try:
        await engine.start()
        figures: list[Figure] = []
        for name in names:
            figures += await bill(engine, made_narrow(name), items)
        return figures
    finally:
        await engine.aclose()


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--questions", type=int, default=4)
    options.add_argument("strategies", nargs="*", help="all by default")
    asked = options.parse_args()
    names = asked.strategies or sorted(registry.names("strategies"))
    show("Bills of the embedded engine", asyncio.run(measure(names, asked.questions)), asked.json)


if __name__ == "__main__":
    main()
