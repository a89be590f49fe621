"""Where a reasoning could have ended: the earliest step end from which on a forced answer is right.

A step ends with a line, with a sentence, or with the text. The answer is forced there by the text that asks for it, and
read off greedily, at all step ends at once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poise.core import Message, Prompt, Role, Sampling
from poise.evals.rows import Item
from poise.models.turns import prompt_ids
from poise.tune.generate import Asked, Generated
from poise.tune.labels import closing
from poise.tune.placing import said

MOST_ENDS = 8
"""Step ends of one text that are looked at: all, or so many evenly spread and the last."""
READ_OFF = Sampling(0.0, max_tokens=16, stop=("\n",))
"""How an answer is read off."""
_SENTENCE = re.compile(r"[.!?][\"')\]*]*$")


@dataclass(frozen=True, slots=True)
class ReadOff:
    """A text cut at a step end, `length` tokens long, and how the answer is asked for there."""

    row: int
    length: int
    asked: Asked


def step_ends(texts: Sequence[str]) -> list[int]:
    """Lengths at which a step ends. `texts`: that of the first token, of the first two, and so on. What differs by
    white space only counts once, the shortest of them."""
    ends: list[int] = []
    before = ""
    for length, text in enumerate(texts, 1):
        rest = texts[length][len(text) :] if length < len(texts) else " "
        line, sentence = text.endswith("\n"), bool(_SENTENCE.search(text)) and rest[:1].isspace()
        if (line or sentence or length == len(texts)) and text.rstrip() != before:
            ends.append(length)
            before = text.rstrip()
    return ends


def spread(ends: Sequence[int], most: int = MOST_ENDS) -> list[int]:
    """At most so many of the ends, evenly spread, the last among them."""
    if len(ends) <= most:
        return list(ends)
    return [ends[(number + 1) * len(ends) // most - 1] for number in range(most)]


def earliest(right: Sequence[bool]) -> int | None:
    """From where on all is right; None where the last is not."""
    wrong = [place for place, each in enumerate(right) if not each]
    first = wrong[-1] + 1 if wrong else 0
    return first if first < len(right) else None


def read_offs(
    tokenizer: Any, items: Sequence[Item], turns: Sequence[Prompt], told: Sequence[Generated], most_tokens: int
) -> list[ReadOff]:
    """What is to be asked, for texts that are right or were cut short at `most_tokens`: others end with an answer that
    is wrong. Cost of asking: a draw of at most 16 tokens each."""
    found = []
    for row, (item, turn, each) in enumerate(zip(items, turns, told, strict=True)):
        if each.failure or not each.ids or not (each.right or each.tokens >= most_tokens):
            continue
        texts = [said(tokenizer, each.ids[:length]) for length in range(1, len(each.ids) + 1)]
        space = _lost(tokenizer, turn, each.ids[0], texts[-1])
        for length in spread(step_ends(texts)):
            lead = closing(item)
            prompt = (*turn, Message(Role.ASSISTANT, space + texts[length - 1] + lead))
            found.append(ReadOff(row, length, Asked(item, prompt, lead)))
    return found


def _lost(tokenizer: Any, turn: Prompt, first: int, text: str) -> str:
    """The space that an answer began with and its text does not tell, as with many tokenizers: it is there where the
    `first` token is read again with it only."""
    wanted = [*prompt_ids(tokenizer, turn), first]
    for space in ("", " "):
        read = prompt_ids(tokenizer, (*turn, Message(Role.ASSISTANT, space + text)))
        if read[: len(wanted)] == wanted:
            return space
    return ""


def stops(
    rows: int, asked: Sequence[ReadOff], told: Sequence[Generated], tokens: tuple[int, ...]
) -> list[tuple[int, tuple[int, ...]] | None]:
    """Of each row the length at which its text could have ended, with the tokens that end one; None: nowhere."""
    found: list[tuple[int, tuple[int, ...]] | None] = []
    for row in range(rows):
        own = [(each.length, answer.right) for each, answer in zip(asked, told, strict=True) if each.row == row]
        place = earliest([right for _, right in own])
        found.append(None if place is None else (own[place][0], tokens))
    return found
