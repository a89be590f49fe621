"""A model whose law is known: a word in the prompt makes it right more often, and it proposes prompts, some with it."""

from __future__ import annotations

import re

from poise.engines.scripted import Script, Scripted

WORD = "carefully"
GOOD, BAD = f"Add {WORD}.", "Guess."
SUM = re.compile(r"What is (\d+) \+ (\d+)\?")


def script(asked: str, *, plain: float = 0.2, told: float = 0.9, good: float = 0.5) -> Script:
    """Of a text asked: a proposal where it holds examples, else an answer to its sum."""
    if "# Example 1" in asked:
        fenced = ((f"```\n{GOOD}\n```", good), (f"```\n{BAD}\n```", 1 - good))
        return Script(tuple(each for each in fenced if each[1]), (12, 12))
    found = SUM.search(asked)
    assert found, asked
    truth, chance = int(found[1]) + int(found[2]), told if WORD in asked else plain
    return Script(((str(truth), chance), (str(truth + 1), 1 - chance)), (8, 12))


def engine(**law: float) -> Scripted:
    """The model."""
    return Scripted(lambda asked: script(asked, **law))


def sums(count: int, first: int = 0) -> list[dict[str, str]]:
    """Plain examples."""
    return [{"question": f"What is {k} + 1?", "answer": str(k + 1)} for k in range(first, first + count)]
