"""Questions whose law of answers is known, and their draws. Standard library only.

What the i-th draw of a question says depends on the question's number and on i alone, so that every system that asks
the same questions buys the same draws. A question is of one of four kinds (the mix): .30 of questions {right .9, five
wrong .02}; .25 {right .6, eight wrong .05}; .25 {right .4, one wrong .3, ten wrong .03}; .20 {right .15, one wrong .3,
ten wrong .055}. A draft's quality is normal, its mean half a unit above 0 where it is right and half a unit below where
it is wrong (an AUROC of .76); its logprobs and the rating that a judge gives it both come from that one number.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

MIX = (  # share of questions, P(right), P(the favourite wrong answer), the others, P(each of them)
    (0.30, 0.90, 0.0, 5, 0.02),
    (0.25, 0.60, 0.0, 8, 0.05),
    (0.25, 0.40, 0.3, 10, 0.03),
    (0.20, 0.15, 0.3, 10, 0.055),
)
TOKENS = (15, 45)  # a draft's length, uniform
WORDS = (
    *("add", "take", "count", "box", "row", "left", "right", "first", "then", "both", "half", "pair", "beads", "red"),
    *("blue", "lid", "side", "over", "under", "sum", "next", "five", "three", "two", "ten", "each", "all", "again"),
    *("from", "with", "into", "stack", "group", "keep", "swap", "turn", "check", "total"),
)
QUESTION = "Item {}: how many beads are in the box? Think step by step and put the final number in \\boxed{{}}."
_ITEM, _DRAFT = re.compile(r"Item (\d+):"), re.compile(r"Working (\d+):")


@dataclass(frozen=True)
class Drawn:
    """One draft: its tokens, the logprob of each of them, its answer, and its quality."""

    tokens: tuple[str, ...]
    logprob: float
    answer: int
    quality: float


def numbers(seed: int, count: int) -> list[int]:
    """The questions of a seed; those of other seeds are others."""
    return [100_000 * (seed + 1) + number for number in range(count)]


def question(number: int) -> str:
    """What is asked."""
    return QUESTION.format(number)


def truth(number: int) -> int:
    """The right answer."""
    return 100 + number * 37 % 800


def asked(text: str) -> int | None:
    """The question that a prompt holds, whatever else it says."""
    found = _ITEM.search(text)
    return int(found.group(1)) if found else None


def rated(text: str) -> int | None:
    """The draft that a prompt asks to be judged: the last one that it quotes."""
    found = _DRAFT.findall(text)
    return int(found[-1]) if found else None


def draw(number: int, i: int) -> Drawn:
    """The i-th draft of a question."""
    dice = random.Random(f"draw {number} {i}")
    answer, right = _answer(number, dice), truth(number)
    quality = dice.gauss(0.5 if answer == right else -0.5, 1.0)
    words = dice.randint(*TOKENS) - 6
    body = [f" {dice.choice(WORDS)}" for _ in range(words)]
    tokens = ("Working", f" {i}", ":", *body, ". The answer is", f" \\boxed{{{answer}}}", ".")
    return Drawn(tokens, min(-0.01, -0.6 + 0.12 * quality), answer, quality)


def _answer(number: int, dice: random.Random) -> int:
    kind = random.Random(f"kind {number}")
    _, right, favourite, others, each = kind.choices(MIX, [share for share, *_ in MIX])[0]
    answers = [truth(number), truth(number) + 7, *(truth(number) + 11 + other for other in range(others))]
    return dice.choices(answers, [right, favourite, *[each] * others])[0]


def rating(number: int, i: int) -> int:
    """What a judge says of a draft, 0 to 10."""
    return max(0, min(10, round(5 + 1.5 * draw(number, i).quality)))
