"""Prompts by name: those shipped with the package, and a user's own files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from poise.core import Request
from poise.errors import DataError, UnknownName
from poise.prompts.file import PromptFile
from poise.prompts.parse import parse

_FOLDER = Path(__file__).parent


def load(name: str) -> PromptFile:
    """A shipped prompt by its id, or the file at a path that ends in ".md" (read at every call).

    Raises UnknownName, or DataError for a file that is unreadable or malformed."""
    if not name.endswith(".md"):
        return _shipped(name)
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise DataError(name, 0, error.strerror, "a prompt file that can be read") from error
    return parse(data, name)


def bytes_of(name: str) -> bytes:
    """The file that a name or path means, byte for byte. Raises as `load` does."""
    load(name)
    return (Path(name) if name.endswith(".md") else _FOLDER / f"{name}.md").read_bytes()


def text_of(name: str) -> str:
    """Its text, with line ends of one kind. Raises as `load` does."""
    return "\n".join(bytes_of(name).decode("utf-8-sig").replace("\r\n", "\n").split("\r"))


@lru_cache
def names() -> tuple[str, ...]:
    """The ids of the shipped prompts that ask a question by themselves."""
    return tuple(name for name in _stems() if (prompt := _shipped(name)).turns and not prompt.follows)


def closing(request: Request) -> str:
    """The suffix that forces an answer of the request's kind out of an unfinished path."""
    return _shipped("closing").closing(request.kind)


def waiting(request: Request) -> str:
    """The suffix that makes a model go on after it ended its text."""
    return _shipped("waiting").closing(request.kind)


@lru_cache
def _stems() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.md")))


@lru_cache
def _shipped(name: str) -> PromptFile:
    if name not in _stems():
        raise UnknownName("prompt", name, names())
    return parse((_FOLDER / f"{name}.md").read_bytes(), f"{name}.md")
