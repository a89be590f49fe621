"""The answer that a gradient is taken towards, as the tokens that follow the text which asks for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poise import prompts
from poise.answers import canonical
from poise.core import Kind, Request
from poise.errors import ConfigError
from poise.evals.rows import Item

_log = logging.getLogger(__name__)
_BEFORE = "a"  # what the text that asks stands behind here


@dataclass(frozen=True, slots=True)
class Label:
    """Token ids of the text that asks for the answer, and of the right answer behind it."""

    asked: tuple[int, ...]
    answer: tuple[int, ...]


def label(tokenizer: Any, item: Item) -> Label:
    """The label of a question: a letter where the text opens a parenthesis, else the truth behind a space. Raises
    ConfigError, naming the question, where the tokens of the two together are not those of the first and some more, or
    the tokens of the answer do not read as the truth: the loss would be that of another answer."""
    asked = closing(item)
    truth = canonical(item.truth, item.kind) if item.kind is Kind.CHOICE else item.truth.strip()
    alone = _ids(tokenizer, asked)
    together = _ids(tokenizer, asked + (truth if item.kind is Kind.CHOICE else f" {truth}"))
    answer = together[len(alone) :]
    if together[: len(alone)] != alone or not answer or _read(tokenizer, answer) != truth:
        raise ConfigError(f"answer of {item.id}", item.truth, "an answer whose tokens stand apart from what is asked")
    return Label(alone, answer)


def labels(tokenizer: Any, items: Sequence[Item]) -> dict[str, Label]:
    """Labels by the ids of questions, without those that have none. Raises ConfigError, of the first, where none has
    one."""
    found, refused = dict[str, Label](), list[ConfigError]()
    for item in items:
        try:
            found[item.id] = label(tokenizer, item)
        except ConfigError as error:
            refused.append(error)
    if refused and not found:
        raise refused[0]
    if refused:
        _log.warning("%d of %d questions tell no gradient: %s", len(refused), len(items), refused[0])
    return found


def closing(item: Item) -> str:
    """The text that asks for the answer of a question of its kind."""
    return prompts.closing(Request.ask(item.question, item.kind))


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Of a text that goes on from another: many tokenizers put a space before the first word of all. Nothing where it
    grows together with what is before it."""
    before, both = (tokenizer(each, add_special_tokens=False).input_ids for each in (_BEFORE, _BEFORE + text))
    return tuple(both[len(before) :]) if both[: len(before)] == before else ()


def _read(tokenizer: Any, ids: tuple[int, ...]) -> str:
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text.strip()
