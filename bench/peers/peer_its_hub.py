"""its-hub, as a library, as its documentation shows it: one language model for all questions, answers projected by a
regular expression. `method`: self_consistency, adaptive, beta (budget n) or best_of_n (n drafts, each judged). All
questions share an algorithm and so its default limit of 32 calls at once; with "/unlimited" behind the method, none;
with "/each" every question has an algorithm, and so a limit, of its own."""

from __future__ import annotations

import asyncio

from asking import Job, Told, at_once, job
from its_hub import BestOfN, LLMJudge, OpenAICompatibleLanguageModel
from its_hub.core.algorithms.adaptive_self_consistency import AdaptiveSelfConsistency
from its_hub.core.algorithms.beta_self_consistency import BetaSelfConsistency
from its_hub.core.algorithms.self_consistency import SelfConsistency, create_regex_projection_function
from its_hub.core.orchestrator import LMOrchestrator

VOTES = {"self_consistency": SelfConsistency, "adaptive": AdaptiveSelfConsistency, "beta": BetaSelfConsistency}


def algorithm(given: Job, lm: OpenAICompatibleLanguageModel) -> object:
    """The job's method with its default knobs."""
    name, _, way = given["method"].partition("/")
    orchestrator = LMOrchestrator(max_concurrency=-1) if way == "unlimited" else LMOrchestrator()
    if name == "best_of_n":
        return BestOfN(LLMJudge(lm), orchestrator=orchestrator)
    project = create_regex_projection_function(given["pattern"])
    return VOTES[name](consistency_space_projection_func=project, orchestrator=orchestrator)


async def main() -> None:
    """Answer the job's questions."""
    given = job()
    lm = OpenAICompatibleLanguageModel(
        endpoint=given["url"],
        api_key=given["key"],
        model_name=given["model"],
        temperature=given["temperature"],
        max_tokens=given["max_tokens"],
    )
    shared = algorithm(given, lm)

    async def ask(question: str) -> Told:
        chosen = algorithm(given, lm) if given["method"].endswith("/each") else shared
        found = await chosen.ainfer(lm, question, budget=given["n"], return_response_only=False)
        return found.the_one["content"], found.usage.completion_tokens if found.usage else None

    try:
        await at_once(given, ask)
    finally:
        await lm.close()


if __name__ == "__main__":
    asyncio.run(main())
