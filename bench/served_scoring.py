"""What scoring by the shipped verifier costs beside drawing: seconds to score 8 paths of one question, the question
read once, over seconds to draw them; and what sharing passes saves, within a question and across requests.

Word problems, one question at a time; drawing and scoring take turns on the same machine. Target: scoring takes at most
.15 of drawing. Needs the default model and the torch extra.
"""

from __future__ import annotations

import asyncio
import time

from figures import Figure, parser, show
from poise import prompts
from poise.config import engine_of
from poise.connect import connect
from poise.core import Path, Request, Sampling, Step
from poise.draws import Collected
from poise.evals.grade import questions_of
from poise.scoring.verifier import Verifier
from poise.seams import Engine

Drawn = tuple[Request, list[Path]]


async def draw(engine: Engine, question: str, paths: int, seed: int) -> Drawn:
    """Paths of one question, in one call."""
    request, clock = Request.ask(question), asyncio.get_running_loop().time
    got = [Collected(clock()) for _ in range(paths)]
    sampling = Sampling(0.7, max_tokens=256, seed=seed)
    async for delta in engine.stream(prompts.load("bare").render(request), sampling, paths):
        got[delta.index].add(delta, clock)
    return request, [(Step(number, 0, one.draft()),) for number, one in enumerate(got, 1)]


async def seconds(work: list[list[Drawn]], scorer: Verifier) -> float:
    """Seconds to score groups of questions, those of a group at once, groups one after another."""
    started = time.perf_counter()
    for group in work:
        await asyncio.gather(*(scorer.score(request, paths) for request, paths in group))
    return time.perf_counter() - started


async def compare(word: str, questions: int, paths: int) -> list[Figure]:
    """Draw, then score in every way; a first question warms everything up."""
    engine, verifier = connect(engine_of(word, "")), Verifier()
    asked = questions_of(("gsm_symbolic:templates=0-84",), questions + 1, 4_000).values()
    drawn, drawing, scoring = list[Drawn](), 0.0, 0.0
    try:
        for number, question in enumerate(asked):
            started = time.perf_counter()
            one = await draw(engine, question.item.question, paths, number)
            spent = time.perf_counter() - started
            score = await seconds([[one]], verifier)
            if number:
                drawn.append(one)
                drawing, scoring = drawing + spent, scoring + score
    finally:
        await engine.aclose()
    alone = await seconds([[(request, [path])] for request, paths in drawn for path in paths], verifier)
    together = await seconds([drawn[first : first + 4] for first in range(0, len(drawn), 4)], verifier)
    ratio = scoring / drawing
    return [
        Figure(f"{word}: drawing {paths} paths", drawing / questions, "s a question"),
        Figure("verifier, 8 paths a pass", scoring / questions, "s a question"),
        Figure("verifier / drawing", ratio, f"{questions} questions", "<= .15", ratio <= 0.15),
        Figure("verifier, a pass per path, nothing shared", alone / questions, "s a question"),
        Figure("verifier, 4 questions at once", together / questions, "s a question"),
    ]


def main() -> None:
    """Measure and show."""
    arguments = parser(__doc__)
    arguments.add_argument("--engine", default="default")
    arguments.add_argument("--questions", type=int, default=16)
    arguments.add_argument("--paths", type=int, default=8)
    given = arguments.parse_args()
    show("Scoring beside drawing", asyncio.run(compare(given.engine, given.questions, given.paths)), given.json)


if __name__ == "__main__":
    main()
