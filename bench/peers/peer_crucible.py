"""crucible, by its own strategy and its Ollama policy (it speaks to nothing else), problem by problem in threads: its
command line asks one question at a time. `method`: best_of_n, n drafts one after the other, majority of the boxed."""

from __future__ import annotations

from asking import Told, in_threads, job
from crucible.config import PolicyConfig, RunConfig
from crucible.domain.types import Problem
from crucible.inference import OllamaPolicy
from crucible.search import get_strategy
from crucible.verify import MathOutcomeVerifier


def main() -> None:
    """Answer the job's questions."""
    given = job()
    policy = PolicyConfig("ollama", given["model"], given["temperature"], given["max_tokens"])
    config = RunConfig(method=given["method"], n=given["n"], selection="majority", policy=policy)
    model = OllamaPolicy(given["model"], host=given["url"].removesuffix("/v1"), max_step_tokens=config.max_step_tokens)
    strategy, verifier = get_strategy(given["method"]), MathOutcomeVerifier()

    def ask(question: str) -> Told:
        trace = strategy.search(Problem(question, question), model, verifier, None, config)
        return trace.text, trace.compute.total_tokens

    in_threads(given, ask)


if __name__ == "__main__":
    main()
