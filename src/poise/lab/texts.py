"""Plain text to train on: documents of a file, which become spans of as many tokens as a recipe's `longest`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from poise import knobs
from poise.errors import ConfigError, DataError

HEAD = "text"
"""Of a source's task: "text:path=FILE"."""


def is_text(task: str) -> bool:
    """Whether a source is plain text, and no task."""
    return task.partition(":")[0] == HEAD


def documents(task: str) -> list[str]:
    """The documents of "text:path=FILE": of a .jsonl file the field `text` of each line, of any other the parts between
    blank lines. Raises ConfigError without a path, DataError for what cannot be read, with its line."""
    values = knobs.pairs(task.partition(":")[2], task)
    if set(values) != {"path"}:
        raise ConfigError("source.task", task, f"{HEAD}:path=FILE")
    path = Path(str(values["path"])).expanduser()
    try:
        whole = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(str(path), 0, str(error), "a text file in UTF-8") from None
    parts = _lines(path, whole) if path.suffix == ".jsonl" else iter(whole.split("\n\n"))
    found = [part.strip() for part in parts if part.strip()]
    if not found:
        raise DataError(str(path), 0, "no text", "at least one document")
    return found


def _lines(path: Path, whole: str) -> Iterator[str]:
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            text = json.loads(line)["text"]
        except (ValueError, TypeError, LookupError):
            text = None
        if not isinstance(text, str):
            raise DataError(str(path), number, line[:80], 'an object with a field "text"')
        yield text
