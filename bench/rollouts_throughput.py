"""Whether recording draws keeps the engine busy: tokens/s of `poise lab rollouts`, drafts graded and written, beside as
many plain streams of the same prompts from the same engine.

They take turns; each pair of rounds gives one ratio. Target: the median ratio is >= .90.
Needs the default model: poise models fetch default; and the torch extra for --engine torch:default.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time

from figures import Figure, parser, show
from poise import prompts
from poise.config import engine_of
from poise.connect import connect
from poise.core import Request, Sampling
from poise.evals.grade import questions_of
from poise.lab.pool import read_pool
from poise.lab.rollouts import record
from poise.seams import Engine
from poise.store.pool_dir import PoolDir, PoolSettings

TASK = "chain_sum:min_terms=3,max_terms=5,min_digits=2,max_digits=4"


def settings_of(seed: int, questions: int, draws: int, tokens: int) -> PoolSettings:
    """Other questions every round, so that no cache helps."""
    sampling = Sampling(1.0, max_tokens=tokens, top_logprobs=0)
    return PoolSettings((TASK,), questions, seed, draws, "cot", sampling)


async def recorded(engine: Engine, settings: PoolSettings) -> float:
    """Tokens per second of a recording."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        await record(settings, engine, PoolDir(f"{folder}/pool"))
        spent = time.perf_counter() - started
        return sum(draw.draft.tokens for one in read_pool(f"{folder}/pool").items for draw in one.draws) / spent


async def plainly(engine: Engine, settings: PoolSettings) -> float:
    """Tokens per second of one stream per question, all opened at once, whose text nobody reads."""
    questions = questions_of(settings.tasks, settings.limit, settings.seed).values()
    prompt = prompts.load(settings.prompt)

    async def one(number: int, question: str) -> int:
        sampling = Sampling(1.0, max_tokens=settings.sampling.max_tokens, top_logprobs=0, seed=number)
        rendered = prompt.render(Request.ask(question))
        return sum([delta.tokens async for delta in engine.stream(rendered, sampling, settings.draws)])

    started = time.perf_counter()
    made = await asyncio.gather(*(one(number, question.item.question) for number, question in enumerate(questions)))
    return sum(made) / (time.perf_counter() - started)


async def compare(word: str, questions: int, draws: int, tokens: int, pairs: int) -> list[Figure]:
    """Take turns, and compare pair by pair; the first pair warms up."""
    engine, ours, plain = connect(engine_of(word, "")), [], []
    try:
        for pair in range(pairs + 1):
            for which in (0, 1) if pair % 2 else (1, 0):
                settings = settings_of(1000 + 2 * pair + which, questions, draws, tokens)
                if which:
                    ours.append(await recorded(engine, settings))
                else:
                    plain.append(await plainly(engine, settings))
    finally:
        await engine.aclose()
    ratios = [mine / other for mine, other in zip(ours[1:], plain[1:], strict=True)]
    ratio = statistics.median(ratios)
    return [
        Figure(f"{word}, recorded", statistics.median(ours[1:]), "tokens/s"),
        Figure(f"{word}, plain streams", statistics.median(plain[1:]), "tokens/s"),
        Figure("ratio", ratio, f"{min(ratios):.3f} to {max(ratios):.3f} over {pairs} pairs", ">= .90", ratio >= 0.9),
    ]


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--engine", default="default")
    arguments.add_argument("--questions", type=int, default=12)
    arguments.add_argument("--draws", type=int, default=8)
    arguments.add_argument("--tokens", type=int, default=64, help="longest draft")
    arguments.add_argument("--pairs", type=int, default=4)
    given = arguments.parse_args()
    figures = asyncio.run(compare(given.engine, given.questions, given.draws, given.tokens, given.pairs))
    show("Recording beside plain streams", figures, given.json)


if __name__ == "__main__":
    main()
