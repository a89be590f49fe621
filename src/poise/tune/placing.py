"""A prompt behind a question, in the model's own turns, as token ids that can be taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from poise.core import Message, Role
from poise.errors import ConfigError
from poise.models.turns import prompt_ids
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

    def row(self, reasoning: tuple[int, ...], label: Label, stop: tuple[int, int] | None = None) -> Row:
        """The turn, reasoning that the model gave, the text that asks for the answer, and the answer. `stop`: the
        length of the reasoning at which it could have ended, and the token that would have ended it."""
        ending = None if stop is None else (len(self.behind) + stop[0], stop[1])
        return Row(self.before, (*self.behind, *reasoning, *label.asked), label.answer, ending)


def messages(question: str, prompt: str) -> tuple[Message, ...]:
    """What the model is asked."""
    return (Message(Role.USER, f"{question}{BETWEEN}{prompt}"),)


def placed(tokenizer: Any, question: str, prompt: str) -> Placed:
    """The turn taken apart. Raises ConfigError where the prompt and what is behind it, read by themselves, are not how
    the whole ends: a prompt must begin and end where tokens do. What is before it is left as the whole reads it: of two
    line breaks (a question may end with one) the second is a token of its own only where a word follows."""
    whole = prompt_ids(tokenizer, messages(question, prompt))
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": f"{question}{BETWEEN}{prompt}"}], tokenize=False, add_generation_prompt=True
    )
    asked = f"{question.lstrip()}{BETWEEN}{prompt}"  # some templates strip what is asked
    start = text.rfind(asked)
    if not prompt.strip() or start < 0:
        raise ConfigError("prompt", prompt, "text that the chat template leaves as it is")
    parts = prompt, text[start + len(asked) :]
    own, behind = (tuple(tokenizer(part, add_special_tokens=False).input_ids) for part in parts)
    place = len(whole) - len(own) - len(behind)
    if [*own, *behind] != whole[place:]:
        raise ConfigError("prompt", prompt, "text that begins and ends where tokens do, behind a line break")
    return Placed(tuple(whole[:place]), own, behind)


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text of each token; joined they are the text of all. A character of several tokens stands with the last."""
    texts = [
        tokenizer.decode(list(ids[:end]), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        for end in range(len(ids) + 1)
    ]
    ends = [len(text.rstrip("\ufffd")) for text in texts[:-1]] + [len(texts[-1])]
    return [texts[-1][start:end] for start, end in pairwise(ends)]
