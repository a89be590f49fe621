"""What one step of `poise tune` takes on this machine, and where it goes: proposals, reasoning, the gradient behind it,
and the race. 8 rows, 8 candidates, 96 tokens of reasoning, word problems. Target: one step in at most 60 s on two cores
that do nothing else. Needs the default model and the torch extra.

Proposals are timed a second way too, on a part of them: every text read again for every candidate.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from figures import Figure, parser, show
from poise.engines.torch_lm import TorchLM
from poise.evals.tasks import load_task
from poise.tune.asking import Asking
from poise.tune.branches import Again, Kept
from poise.tune.budget import Spent
from poise.tune.optimizer import initial
from poise.tune.rows import LossTerms
from poise.tune.step import Stepper, StepSettings

T = TypeVar("T")


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    """What some work gives, and its seconds."""
    started = time.perf_counter()
    return await work, time.perf_counter() - started


def ways(model: object, asking: Asking, prompt: str, tokens: Sequence[int]) -> list[float]:
    """Seconds to judge candidates at the prompt's second token, on two rows: kept, and read again."""
    ids = asking.ids(prompt)
    texts = [[*part.before, ids[0]] for _, part in asking.parts(asking.items[:2], prompt)]
    some = [(token, *ids[2:7]) for token in tokens]
    found = []
    for way in (Kept, Again):
        started = time.perf_counter()
        way(model, texts).told(some)
        found.append(time.perf_counter() - started)
    return found


async def measured(model: str, learn: int) -> list[Figure]:
    """One step after a warm-up, and its parts."""
    settings, terms, prompt = StepSettings(), LossTerms(), initial()
    task, engine = load_task("gsm_symbolic:templates=0-84"), TorchLM(model)
    items = task.items(learn, 0)
    asking = Asking(engine, task, items, settings.sampling, terms, slopes=True)
    try:
        await asking.answers(items[:2], prompt, 1, Spent())
        ids, parts, spent = asking.ids(prompt), asking.some(settings.rows, prompt, random.Random(0)), Spent()
        befores = [part.before for _, part in parts]
        proposed, proposing = await timed(
            asyncio.to_thread(asking.proposer.fitting, befores, ids, 1, settings.candidates)
        )
        told, answering = await timed(asking.answers([item for item, _ in parts], prompt, 1, spent))
        rows = await asking.rows(parts, prompt, told, spent)
        _, sloping = await timed(asking.slopes(rows, ids, 1, proposed.tokens, spent))
        stepped, whole = await timed(Stepper(asking, settings).step(1, prompt, 1))
        kept, again = ways(engine.model(), asking, prompt, proposed.tokens)
    finally:
        await engine.aclose()
    raced = max((tried.standing.rows for tried in stepped.tried), default=0)
    return [
        Figure("one step", whole, "s", "<= 60", whole <= 60),
        Figure("proposals", proposing, f"s, {proposed.cost:,} tokens"),
        Figure("reasoning", answering, f"s, {sum(each.tokens for each in told):,} tokens"),
        Figure("gradient", sloping, "s"),
        Figure("race and the rest", whole - proposing - answering - sloping, f"s, {raced} rows"),
        Figure("the step in all", stepped.spent.tokens, "tokens"),
        Figure("proposals, read again / kept", again / kept, f"x (2 rows, {len(proposed.tokens)} candidates)"),
    ]


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="default")
    arguments.add_argument("--learn", type=int, default=60)
    given = arguments.parse_args()
    show("One step of tuning", asyncio.run(measured(given.model, given.learn)), given.json)


if __name__ == "__main__":
    main()
