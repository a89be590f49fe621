"""HTML that cannot be forgotten to escape: whatever is not `Html` already is escaped when it enters an element."""

from __future__ import annotations

import html
from collections.abc import Iterable

from poise.report.words import clean

_VOID = frozenset({"br", "hr", "img", "meta"})


class Html(str):
    """Markup that is safe to show as it is. Made by `el` and `join` alone; everything else is text."""

    __slots__ = ()


def el(name: str, *inside: str | None, **attributes: str | bool | None) -> Html:
    """An element. `class_` is written for class, `data_x` for data-x; True is a bare attribute, None and False none."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(inside)}</{name}>")


def join(parts: Iterable[str | None], between: str = "") -> Html:
    """Parts one after the other, escaped where they are not markup yet."""
    return Html(between.join(_safe(part) for part in parts if part is not None))


def _safe(part: str) -> str:
    return part if isinstance(part, Html) else html.escape(clean(part))


def _attribute(key: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(clean(value))}"'
