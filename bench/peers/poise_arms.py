"""Poise, by the same script as its peers: python poise_arms.py JOB.json ANSWERS.jsonl. `method`: a strategy with its
knobs, as on the command line, {n} filled in. Waits for the first byte as long as its peers do: the upstream queues."""

from __future__ import annotations

import asyncio

from asking import Told, at_once, job

from poise.config import plan_of, strategy_of
from poise.core import Kind, Request, Sampling
from poise.engines.openai_http import OpenAIHTTP, Timeouts
from poise.engines.retry import retrying
from poise.errors import NoAnswer
from poise.run import solve
from poise.scorers import scorer_of

PATIENT = Timeouts(first_byte=600.0, idle=600.0)


async def main() -> None:
    """Answer the job's questions."""
    given = job()
    strategy, scorer = strategy_of(given["method"].format(**given))
    plan = plan_of(strategy, scorer=scorer)
    engine = retrying(OpenAIHTTP(given["url"], given["model"], name="main", timeouts=PATIENT))
    scorers = {scorer or "mean_logprob": scorer_of(scorer or "mean_logprob")}
    sampling = Sampling(given["temperature"], max_tokens=given["max_tokens"])

    async def ask(question: str) -> Told:
        request = Request.ask(question, Kind.NUMBER, sampling)
        try:
            answer = await solve(request, plan, {"main": engine}, scorers)
        except NoAnswer as failure:
            raise RuntimeError(str(failure)) from failure
        usage = answer.usage
        return answer.text, usage.new_tokens + usage.overrun_tokens + usage.scorer_tokens

    try:
        await at_once(given, ask)
    finally:
        await engine.aclose()


if __name__ == "__main__":
    asyncio.run(main())
