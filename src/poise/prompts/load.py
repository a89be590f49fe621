"""Read prompt files and render requests through them.

    ---
    id: token_budget
    version: 1
    description: Think within a budget of words.
    source: arXiv 2412.18547
    slot n: int = 50 (1 to 100000)
    ---
    # user
    {question}
    Use less than {n} tokens. {format}
    # format number
    End with: The answer is <number>.

Sections `# system`, `# user`, `# assistant` are turns in order; the last `# user` wraps the question, those before it
are shots. `# format KIND` is what `{format}` becomes for that kind of answer, `# closing KIND` what forces an answer
out of an unfinished text.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poise.core import Kind, Message, Prompt, Request, Role
from poise.errors import ConfigError, DataError, UnknownName

_FOLDER = Path(__file__).parent
_SLOT = re.compile(r"int\s*=\s*(\d+)\s*\((\d+) to (\d+)\)")
_HEADING = re.compile(r"^# (system|user|assistant|format \w+|closing \w+)\s*$", re.MULTILINE)
_HOLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Slot:
    """A typed hole: a whole number between `low` and `high`."""

    name: str
    default: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class PromptFile:
    """One prompt. `hash` is the SHA-256 of the file, first 16 hex digits; a Plan records it."""

    id: str
    version: str
    description: str
    source: str
    hash: str
    slots: tuple[Slot, ...]
    turns: tuple[Message, ...]
    formats: tuple[tuple[Kind, str], ...]
    closings: tuple[tuple[Kind, str], ...]

    def render(self, request: Request, **knobs: object) -> Prompt:
        """The request's conversation with its last user message wrapped, and the prompt's own shots before it.

        Raises UnknownName for a slot it does not have, ConfigError for a value out of range."""
        filled = self._filled(knobs)
        filled["format"] = dict(self.formats).get(request.kind, "")
        last = max(at for at, message in enumerate(request.messages) if message.role is Role.USER)
        before, after = request.messages[:last], request.messages[last + 1 :]
        turns = tuple(Message(turn.role, _fill(turn.text, filled, request.question)) for turn in self.turns)
        if turns[0].role is Role.SYSTEM and any(message.role is Role.SYSTEM for message in before):
            turns = turns[1:]
        return (*before, *turns, *after)

    def _filled(self, knobs: Mapping[str, object]) -> dict[str, str]:
        slots = {slot.name: slot for slot in self.slots}
        for name in knobs:
            if name not in slots:
                raise UnknownName(f"slot of prompt {self.id}", name, slots)
        filled = {}
        for name, slot in slots.items():
            value = knobs.get(name, slot.default)
            if not isinstance(value, int) or not slot.low <= value <= slot.high:
                raise ConfigError(f"slot {name} of prompt {self.id}", value, f"{slot.low} to {slot.high}")
            filled[name] = str(value)
        return filled


def load(name: str) -> PromptFile:
    """A prompt of the package by id, or a user's own by the path of a .md file.

    Raises UnknownName, and DataError (with the line) where a file is malformed."""
    if name.endswith(".md"):
        return _read(Path(name))
    return _packaged(name)


def names() -> list[str]:
    """Ids of the package's prompts."""
    return sorted(path.stem for path in _FOLDER.glob("*.md"))


def closing(request: Request) -> str:
    """The forced-answer suffix for this kind of answer."""
    return dict(load("closing").closings)[request.kind]


@functools.lru_cache(maxsize=256)
def _packaged(name: str) -> PromptFile:
    path = _FOLDER / f"{name}.md"
    if name not in names():
        raise UnknownName("prompt", name, names())
    return _read(path)


def _read(path: Path) -> PromptFile:
    try:
        data = path.read_bytes()
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(str(path), 0, str(error), "a readable UTF-8 file") from None
    opening, _, rest = text.partition("---\n")
    front, fence, body = rest.partition("---\n")
    if opening.strip() or not fence:
        raise DataError(str(path), 1, text[:20], 'front matter between two lines of "---"')
    facts, slots = _front(path, front)
    turns, formats, closings = _sections(path, body, front.count("\n") + 3)
    digest = hashlib.sha256(data).hexdigest()[:16]
    described = facts.get("description", ""), facts.get("source", "")
    return PromptFile(facts["id"], facts["version"], *described, digest, slots, turns, formats, closings)


def _front(path: Path, front: str) -> tuple[dict[str, str], tuple[Slot, ...]]:
    facts, slots = {}, []
    for number, line in enumerate(front.splitlines(), start=2):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if key.startswith("slot "):
            found = _SLOT.fullmatch(value)
            if not found:
                raise DataError(str(path), number, line, "slot NAME: int = DEFAULT (LOW to HIGH)")
            slots.append(Slot(key.removeprefix("slot "), *map(int, found.groups())))
        elif colon and key in ("id", "version", "description", "source"):
            facts[key] = value
        elif line.strip():
            raise DataError(str(path), number, line, "id, version, description, source or slot NAME, each with a value")
    for needed in ("id", "version"):
        if needed not in facts:
            raise DataError(str(path), 1, f"no {needed}", "front matter with id and version")
    return facts, tuple(slots)


_Texts = tuple[tuple[Kind, str], ...]


def _sections(path: Path, body: str, first_line: int) -> tuple[tuple[Message, ...], _Texts, _Texts]:
    turns: list[Message] = []
    texts: dict[str, list[tuple[Kind, str]]] = {"format": [], "closing": []}
    pieces = _HEADING.split(body)
    for heading, text in zip(pieces[1::2], pieces[2::2], strict=True):
        what, _, kind = heading.partition(" ")
        if what in texts:
            texts[what].append((_kind(path, kind, first_line), text.strip("\n")))
        else:
            turns.append(Message(Role(what), text.strip()))
    if turns and (turns[-1].role is not Role.USER or "{question}" not in turns[-1].text):
        raise DataError(str(path), first_line, turns[-1].text[:40], "a last turn `# user` that holds {question}")
    if pieces[0].strip() or not (turns or texts["closing"]):
        raise DataError(str(path), first_line, pieces[0].strip()[:40], "sections: # system, # user, # assistant, ...")
    return tuple(turns), tuple(texts["format"]), tuple(texts["closing"])


def _kind(path: Path, name: str, line: int) -> Kind:
    kinds = {kind.value: kind for kind in Kind}
    if name not in kinds:
        raise DataError(str(path), line, name, ", ".join(kinds))
    return kinds[name]


def _fill(text: str, filled: Mapping[str, str], question: str) -> str:
    """Fill every hole in one pass, so that braces inside the question survive."""
    values = {**filled, "question": question}
    return _HOLE.sub(lambda hole: values.get(hole[1], hole[0]), text).strip()
