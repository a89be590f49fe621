"""A prompt behind a question, in the model's own turns, as token ids that can be taken apart."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from poise.core import Message, Role
from poise.errors import ConfigError
from poise.models.turns import prompt_text
from poise.tune.labels import Label
from poise.tune.rows import Row

BETWEEN = "\n"
"""What stands between a question and its prompt."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Token ids of a turn: up to the prompt, of the prompt, and behind it until the model speaks."""

    before: tuple[int, ...]
    prompt: tuple[int, ...]
    behind: tuple[int, ...]

    @property
    def whole(self) -> tuple[int, ...]:
        """The turn."""
        return (*self.before, *self.prompt, *self.behind)

    def row(self, reasoning: tuple[int, ...], label: Label, stop: tuple[int, tuple[int, ...]] | None = None) -> Row:
        """The turn, reasoning that the model gave, the text that asks for the answer, and the answer. `stop`: the
        length of the reasoning at which it could have ended, and the tokens any of which would have ended it."""
        ending = None if stop is None else (len(self.behind) + stop[0], stop[1])
        return Row(self.before, (*self.behind, *reasoning, *label.asked), label.answer, ending)


def messages(question: str, prompt: str) -> tuple[Message, ...]:
    """What the model is asked."""
    return (Message(Role.USER, f"{question}{BETWEEN}{prompt}"),)


def placed(tokenizer: Any, question: str, prompt: str) -> Placed:
    """The turn taken apart, by where its tokens stand in its text: read by itself, a part of it may be other tokens, as
    many tokenizers put a space before the first word of all. Raises ConfigError where the tokens of the prompt are not
    its text again: it must begin and end where tokens do."""
    text = prompt_text(tokenizer, messages(question, prompt))
    asked = f"{question.lstrip()}{BETWEEN}{prompt}"  # some templates strip what is asked
    start = text.rfind(asked)
    if not prompt.strip() or start < 0:
        raise ConfigError("prompt", prompt, "text that the chat template leaves as it is")
    read = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, starts = tuple(read.input_ids), [place for place, _ in read.offset_mapping]
    end = start + len(asked)
    first, last = bisect_left(starts, end - len(prompt)), bisect_left(starts, end)
    found = Placed(ids[:first], ids[first:last], ids[last:])
    if said(tokenizer, found.prompt) != prompt:
        raise ConfigError("prompt", prompt, "text that begins and ends where tokens do, behind a line break")
    return found


def said(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of tokens, as it is."""
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text of each token; joined they are the text of all. A character of several tokens stands with the last."""
    texts = [said(tokenizer, ids[:end]) for end in range(len(ids) + 1)]
    ends = [len(text.rstrip("\ufffd")) for text in texts[:-1]] + [len(texts[-1])]
    return [texts[-1][start:end] for start, end in pairwise(ends)]
