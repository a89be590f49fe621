"""The key=value part of a task spec."""

from __future__ import annotations

import re

from poise.core import Kind
from poise.errors import ConfigError, UnknownName

_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+|(?=\.))(\.\d+)?([eE][-+]?\d+)?")


class Settings:
    """Texts by key, each taken once; `finish` refuses what nobody took."""

    def __init__(self, spec: str, text: str) -> None:
        self.spec = spec.strip()
        self.values: dict[str, str] = {}
        key = ""
        for piece in text.split(",") if text.strip() else ():
            name, equals, value = piece.partition("=")
            if equals:
                key = name.strip()
                self.values[key] = value.strip()
            elif key:  # a comma inside a value: paths and lists have them
                self.values[key] += "," + piece
            else:
                raise ConfigError("task", spec, "name:key=value,key=value")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def take(self, key: str, default: str = "") -> str:
        """The text of one key."""
        return self.values.pop(key, default)

    def kind(self) -> Kind | None:
        """The kind asked for by name, if any."""
        name = self.take("kind").lower()
        return kind_named(name) if name else None

    def span(self, key: str) -> range | None:
        """LOW-HIGH or one number, both ends included."""
        text = self.take(key)
        if not text:
            return None
        bounds = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        low, high = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (0, -1)
        if high < low:
            raise ConfigError(f"task.{key}", text, "LOW-HIGH, both included")
        return range(low, high + 1)

    def finish(self, known: tuple[str, ...]) -> None:
        """UnknownName for the first key that is left."""
        for key in self.values:
            raise UnknownName(f"setting of task {self.spec!r}", key, (*known, "label", "kind"))


def kind_named(name: str) -> Kind:
    """A kind by its name; UnknownName otherwise."""
    if name not in {kind.value for kind in Kind}:
        raise UnknownName("kind", name, [kind.value for kind in Kind])
    return Kind(name)


def kind_of(truth: str) -> Kind:
    """The kind that a truth looks like: 12, -3.5 and 1,200 are numbers, (B) is a choice, all else text."""
    if _NUMBER.fullmatch(truth):
        return Kind.NUMBER
    return Kind.CHOICE if re.fullmatch(r"\([A-Z]\)", truth) else Kind.TEXT


def check_draw(limit: int, seed: int) -> None:
    """ConfigError unless `limit` items of `seed` can be asked for."""
    if limit < 1:
        raise ConfigError("limit", limit, "1 or more")
    if seed < 0:
        raise ConfigError("seed", seed, "0 or more")
