"""The prompt file format: a header between `---` lines, then sections.

    ---
    id: token_budget
    version: 1
    description: One line on what it asks for.
    source: where it comes from
    slot n: int = 50 (1..100000) "token budget"
    parent: cot 1a2b3c4d5e6f7081
    measured MODEL: 61.2 % [57.0, 65.3], 83 tokens, n = 504, gsm_symbolic
    ---
    # user
    {question}

    Use less than {n} tokens. {format}

    # format number
    End with the number.

Slots, a parent and measurements may be missing; measurements are one a line. Sections are `# system` (once, first),
`# user` and `# assistant` in turns (pairs before the last `# user` are examples), `# format KIND` (fills `{format}` for
requests of that kind) and `# closing KIND` (what is put after a path, to force an answer out of it or to make it go
on). `{question}` stands in the last `# user`; `{{x}}` is a literal `{x}`.

A slot may be a text that was said before, `slot draft: text "the version to rewrite"`. Such a file is a further turn of
a conversation: `{question}` stands in any `# user` of it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from poise.core import Kind, Message, Prompt, Role
from poise.errors import DataError
from poise.prompts.file import PLACEHOLDER, Measurement, PromptFile, Slot, TextSlot
from poise.prompts.measured import measurement, without_measurements

_KEYS = ("id", "version", "description", "source")
_SLOT = re.compile(r'int = (-?[0-9]+) \((-?[0-9]+)\.\.(-?[0-9]+)\) "([^"]+)"')
_TEXT = re.compile(r'text "([^"]+)"')
_TURNS = {role.value: role for role in Role}
_KINDS = {kind.value: kind for kind in Kind}


def parse(data: bytes, path: str) -> PromptFile:
    """Read a prompt file; `path` is for messages. Raises DataError naming the line of whatever is malformed."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(path, 0, str(error), "UTF-8 text") from error
    if not lines or lines[0].rstrip() != "---":
        raise DataError(path, 1, lines[0] if lines else "", "--- to open the header")
    end = next((i for i, line in enumerate(lines) if i and line.rstrip() == "---"), None)
    if end is None:
        raise DataError(path, len(lines), lines[-1], "--- to close the header")
    header, slots, measured = _header(lines[1:end], path)
    sections = _sections(lines, end + 1, path, {"question", "format", *(slot.name for slot in slots)})
    turns = _turns(sections, path, follows=any(isinstance(slot, TextSlot) for slot in slots))
    for slot in slots:
        if not any(f"{{{slot.name}}}" in section.text for section in sections):
            raise DataError(path, 0, f"slot {slot.name}", f"a slot that is used, as {{{slot.name}}}")
    return PromptFile(
        header["id"],
        int(header["version"]),
        header["description"],
        header["source"],
        slots,
        hashlib.sha256(without_measurements(data)).hexdigest()[:16],
        turns,
        _by_kind(sections, "format"),
        _by_kind(sections, "closing"),
        header.get("parent", ""),
        measured,
    )


@dataclass(frozen=True, slots=True)
class _Section:
    """`name` is a role, "format" or "closing"; the last two have a kind."""

    line: int
    name: str
    kind: Kind | None
    text: str = ""


def _header(lines: list[str], path: str) -> tuple[dict[str, str], tuple[Slot | TextSlot, ...], tuple[Measurement, ...]]:
    header: dict[str, str] = {}
    slots: list[Slot | TextSlot] = []
    measured: list[Measurement] = []
    for number, line in enumerate(lines, 2):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not value:
            raise DataError(path, number, line, "key: value")
        if key in header or any(key == f"slot {slot.name}" for slot in slots):
            raise DataError(path, number, line, f"{key} once")
        if key.startswith("slot "):
            slots.append(_slot(key.removeprefix("slot "), value, path, number))
        elif key.startswith("measured "):
            measured.append(measurement(key.removeprefix("measured ").strip(), value, path, number))
        elif key not in (*_KEYS, "parent"):
            raise DataError(path, number, key, f"one of {', '.join(_KEYS)}, parent, slot NAME, measured MODEL")
        elif key == "version" and not value.isdecimal():
            raise DataError(path, number, value, "a whole number as version")
        else:
            header[key] = value
    missing = [key for key in _KEYS if key not in header]
    if missing:
        raise DataError(path, len(lines) + 2, f"no {missing[0]}", f"a header with {', '.join(_KEYS)}")
    return header, tuple(slots), tuple(measured)


def _slot(name: str, value: str, path: str, number: int) -> Slot | TextSlot:
    match, text = _SLOT.fullmatch(value), _TEXT.fullmatch(value)
    if not (match or text) or not name.isidentifier() or name in ("question", "format"):
        allowed = 'slot NAME: int = DEFAULT (LOW..HIGH) "what it is", or slot NAME: text "what it is"'
        raise DataError(path, number, f"slot {name}: {value}", allowed)
    if not match:
        return TextSlot(name, text[1] if text else "")
    slot = Slot(name, int(match[1]), int(match[2]), int(match[3]), match[4])
    if not slot.low <= slot.default <= slot.high:
        raise DataError(path, number, slot.default, f"a default from {slot.low} to {slot.high}")
    return slot


def _sections(lines: list[str], start: int, path: str, known: set[str]) -> list[_Section]:
    sections: list[_Section] = []
    bodies: list[list[str]] = []
    for number, line in enumerate(lines[start:], start + 1):
        if line.startswith("# "):
            sections.append(_heading(line, path, number, sections))
            bodies.append([])
            continue
        if not sections and line.strip():
            raise DataError(path, number, line, "a section first, such as # user")
        for match in PLACEHOLDER.finditer(line):
            if match[2] and match[2] not in known:
                allowed = ", ".join(f"{{{name}}}" for name in sorted(known))
                raise DataError(path, number, match[0], f"{allowed}; {{{match[0]}}} for the text {match[0]}")
        if bodies:
            bodies[-1].append(line)
    texts = ("\n".join(body).strip() for body in bodies)
    filled = [_Section(s.line, s.name, s.kind, text) for s, text in zip(sections, texts, strict=True)]
    for section in filled:
        if not section.text:
            raise DataError(path, section.line, lines[section.line - 1], "a section with text in it")
    return filled


def _heading(line: str, path: str, number: int, before: list[_Section]) -> _Section:
    name, _, rest = line[2:].strip().partition(" ")
    kind = _KINDS.get(rest)
    by_kind = name in ("format", "closing")
    if (kind is None) if by_kind else (name not in _TURNS or rest):
        raise DataError(
            path, number, line, f"# {', # '.join(_TURNS)}, # format KIND, # closing KIND ({', '.join(_KINDS)})"
        )
    if by_kind and any((s.name, s.kind) == (name, kind) for s in before):
        raise DataError(path, number, line, "each kind once")
    return _Section(number, name, kind)


def _turns(sections: list[_Section], path: str, *, follows: bool) -> Prompt:
    """The turns in order: system first if at all, then user and assistant alternating, the question in the last, or,
    where an earlier text is taken up, in any of the user's."""
    turns = [section for section in sections if section.kind is None]
    if not turns and any(section.name == "closing" for section in sections):
        return ()
    talk = turns[1:] if turns and turns[0].name == "system" else turns
    for index, turn in enumerate(talk):
        expected = ("user", "assistant")[index % 2]
        if turn.name != expected:
            raise DataError(path, turn.line, f"# {turn.name}", f"# {expected} here")
    asking = "".join(turn.text for turn in (talk if follows else talk[-1:]) if turn.name == "user")
    if not talk or talk[-1].name != "user" or "{question}" not in asking:
        raise DataError(path, talk[-1].line if talk else 0, "the last turn", "a # user section with {question} in it")
    return tuple(Message(_TURNS[turn.name], turn.text) for turn in turns)


def _by_kind(sections: list[_Section], name: str) -> tuple[tuple[Kind, str], ...]:
    return tuple((section.kind, section.text) for section in sections if section.name == name and section.kind)
