"""The default model, merged with the adapter that ships."""

import asyncio
import contextlib

from poise import answers, prompts
from poise.core import Request, Sampling
from poise.engines.llamacpp import LlamaCpp
from poise.evals.grade import questions_of

TASKS = ("leg_counting:min_animals=3,max_animals=6", "gsm_symbolic:templates=0-84")


async def solved(engine, task, n):
    """How many of n questions are answered right, greedily."""

    async def one(question):
        item, text = question.item, ""
        prompt = prompts.load("bare").render(Request.ask(item.question, item.kind))
        async for delta in engine.stream(prompt, Sampling(temperature=0, max_tokens=256), 1):
            text += delta.text
        value = answers.extract(text, item.kind, truncated=False)
        return question.task.grade(item, value.text if value else None)

    asked = questions_of((task,), n, 900).values()
    return sum(await asyncio.gather(*(one(question) for question in asked)))


async def test_it_solves_word_problems_and_its_base_does_not():
    taught, base = LlamaCpp(slots=8, context=768), LlamaCpp("smollm2-135m-instruct", slots=8, context=768)
    async with contextlib.aclosing(taught), contextlib.aclosing(base):
        legs, problems = [await solved(taught, task, 8) for task in TASKS]
        assert legs >= 3
        assert problems >= 1
        assert await solved(base, TASKS[0], 8) < legs
