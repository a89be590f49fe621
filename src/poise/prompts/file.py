"""A prompt file in memory, and the messages made of it. The format is told in `poise.prompts.parse`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from poise.core import Kind, Message, Prompt, Request, Role
from poise.errors import ConfigError, UnknownName

PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SPACED_FORMAT = re.compile(r"\s*\{format\}")


@dataclass(frozen=True, slots=True)
class Slot:
    """A whole number that a prompt leaves open: its default, and the least and most it may be."""

    name: str
    default: int
    low: int
    high: int
    description: str

    def checked(self, value: object) -> int:
        """The value, or ConfigError."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise ConfigError(self.name, value, f"a whole number from {self.low} to {self.high} ({self.description})")
        return value


@dataclass(frozen=True, slots=True)
class TextSlot:
    """A text that a prompt takes up, such as an earlier draft. It has no default, so a prompt with one asks nothing by
    itself: a strategy gives it."""

    name: str
    description: str
    default: str = ""

    def checked(self, value: object) -> str:
        """The text, or ConfigError."""
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(self.name, value, f"a text ({self.description}), which a strategy gives")
        return value


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a prompt was worth for one model: `accuracy` of n questions of `task`, with its 95 % interval (shares), and
    new tokens a question."""

    model: str
    accuracy: float
    low: float
    high: float
    tokens: float
    n: int
    task: str

    @property
    def right(self) -> str:
        """Its accuracy with the interval, in per cent."""
        return f"{100 * self.accuracy:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def told(self) -> str:
        """As its line in a file."""
        return f"{self.right}, {self.tokens:.4g} tokens, n = {self.n}, {self.task}"


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A prompt as read from its file. `hash`: the first 16 hex digits of the SHA-256 of all but `measured`; `parent`:
    the prompt that it was made from, as "ID HASH"; `measured`: what it was worth, as far as that is known."""

    id: str
    version: int
    description: str
    source: str
    slots: tuple[Slot | TextSlot, ...]
    hash: str
    turns: Prompt
    formats: tuple[tuple[Kind, str], ...] = ()
    closings: tuple[tuple[Kind, str], ...] = ()
    parent: str = ""
    measured: tuple[Measurement, ...] = ()

    def render(self, request: Request, **slots: object) -> Prompt:
        """The request's messages with the last user message wrapped; the question itself enters verbatim. Earlier
        messages stay as they are, but a system text of the file joins the request's own. Pure, no cost.

        Raises UnknownName for a slot the file lacks, ConfigError for a value out of range or a text that is missing."""
        if not self.turns:
            raise ConfigError("prompt", self.id, "a prompt file with a # user section")
        at = max(i for i, message in enumerate(request.messages) if message.role is Role.USER)
        before, question = request.messages[:at], request.messages[at].text
        after = () if self.follows else request.messages[at + 1 :]  # a prefix belongs to the first text of all
        values = {"question": question, **self._filled(slots)}
        answer_format = dict(self.formats).get(request.kind, "")
        values["format"] = _fill(answer_format, values)
        texts = (turn.text if answer_format else _SPACED_FORMAT.sub("", turn.text) for turn in self.turns)
        turns = tuple(Message(turn.role, _fill(text, values)) for turn, text in zip(self.turns, texts, strict=True))
        if turns[0].role is Role.SYSTEM:
            own, turns = turns[0], turns[1:]
            if before and before[0].role is Role.SYSTEM:
                own, before = Message(Role.SYSTEM, f"{before[0].text}\n\n{own.text}"), before[1:]
            before = (own, *before)
        return (*before, *turns, *after)

    @property
    def follows(self) -> bool:
        """Whether it takes up a text that was said before."""
        return any(isinstance(slot, TextSlot) for slot in self.slots)

    def closing(self, kind: Kind) -> str:
        """What to put after an unfinished path so that the next tokens are the answer; a paragraph of its own."""
        text = dict(self.closings).get(kind)
        if text is None:
            raise ConfigError("prompt", self.id, f"a prompt file with a # closing {kind.value} section")
        return f"\n\n{text}"

    def _filled(self, given: Mapping[str, object]) -> dict[str, str]:
        known = {slot.name: slot for slot in self.slots}
        for name in given:
            if name not in known:
                raise UnknownName(f"slot of prompt {self.id}", name, known)
        return {name: str(slot.checked(given.get(name, slot.default))) for name, slot in known.items()}


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Placeholders in one pass, so that what is put in is never looked at again."""
    return PLACEHOLDER.sub(lambda match: values[match[2]] if match[2] else f"{{{match[1]}}}", text)
