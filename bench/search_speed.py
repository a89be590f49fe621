"""What the searches themselves cost, and what a barrier costs: on the scripted engine, whose law is known.

Nodes per second of REBASE through the whole road, without latency; how seconds grow with nodes from width 8 to 256; and
the span of forms with and without a barrier at equal tokens, in virtual time. Targets: >= 2,000 nodes/s at width 64,
log-log slope <= 1.1.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from figures import Figure, parser, show
from poise.core import Kind, Request, Sampling
from poise.engines.scripted import Script, Scripted
from poise.run import solve
from poise.scoring.logprob import MeanLogprob
from poise.seams import Plan, Strategy
from poise.strategies.beam import Beam
from poise.strategies.dvts import Dvts
from poise.strategies.rebase import Rebase
from poise.strategies.rebase_free import RebaseFree
from poise.testing import virtual
from poise.trace import Answer

SCRIPT = Script((("7", 0.6), ("8", 0.4)), (30, 90), steps=8)
REQUEST = Request.ask("What is 3 + 4?", Kind.NUMBER, Sampling(max_tokens=512))
WIDTHS = (8, 16, 32, 64, 128, 256)


async def solved(strategy: Strategy, script: Script, seed: int, per_delta: int = 0) -> Answer:
    """One question."""
    engine, scorer = Scripted(lambda _: script, per_delta=per_delta, slots=16), MeanLogprob()
    return await solve(
        REQUEST,
        Plan(strategy, (("main", engine.name),), scorer.name),
        {engine.name: engine},
        {scorer.name: scorer},
        seed,
    )


def timed(width: int, questions: int) -> tuple[int, float]:
    """Nodes and seconds of some questions, one after the other, after one that is not counted."""

    async def all_of_them() -> tuple[int, float]:
        await solved(Rebase(width=width), SCRIPT, 0)
        started, nodes = time.perf_counter(), 0
        for seed in range(questions):
            nodes += len((await solved(Rebase(width=width), SCRIPT, seed)).trace.steps)
        return nodes, time.perf_counter() - started

    return asyncio.run(all_of_them())


def spans(strategies: Sequence[Strategy], questions: int) -> list[tuple[float, float]]:
    """Mean virtual seconds and tokens of each strategy: 20 tokens/s a sequence, steps of uneven length."""
    script = replace(SCRIPT, tokens=(20, 160), first_byte_seconds=0.05, seconds_per_token=0.05)
    found = []
    for strategy in strategies:
        answers = [virtual(solved(strategy, script, seed, per_delta=1)) for seed in range(questions)]
        seconds = float(np.mean([answer.trace.seconds for answer in answers]))
        found.append((seconds, float(np.mean([answer.usage.new_tokens for answer in answers]))))
    return found


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--questions", type=int, default=20)
    options = arguments.parse_args()
    times = {width: timed(width, max(options.questions * 16 // width, 3)) for width in WIDTHS}
    each = {width: (nodes / seconds, nodes) for width, (nodes, seconds) in times.items()}
    per_question = [
        (nodes / n, s / n) for width, (nodes, s) in times.items() for n in [max(options.questions * 16 // width, 3)]
    ]
    slope = float(np.polyfit(*np.log(np.array(per_question).T), 1)[0])
    figures = [Figure(f"nodes per second, width {width}", rate, "1/s") for width, (rate, _) in each.items()]
    figures[3] = Figure("nodes per second, width 64", each[64][0], "1/s", ">= 2,000", each[64][0] >= 2000)
    figures.append(Figure("log-log slope of seconds against nodes", slope, "", "<= 1.1", slope <= 1.1))
    pairs = {"rebase": (Rebase(), RebaseFree()), "dvts": (Beam(width=16, expand=4), Dvts(width=16, expand=4))}
    for name, pair in pairs.items():
        (barred, b_tokens), (free, f_tokens) = spans(pair, options.questions)
        figures.append(Figure(f"{name}: span without barrier / with ({pair[0].name})", free / barred, ""))
        figures.append(Figure(f"{name}: tokens without barrier / with", f_tokens / b_tokens, ""))
    show("Searches, scripted engine", figures, options.json)


if __name__ == "__main__":
    main()
