"""Plain values (from a command line, a TOML file or a plug-in) into frozen dataclasses, with errors that teach."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar, Union

from poise import registry
from poise.errors import ConfigError, UnknownName
from poise.seams import Strategy

T = TypeVar("T")
_INSIDE = re.compile(r"\s*(\w+)\((.*)\)\s*", re.DOTALL)


def build(cls: type[T], values: Mapping[str, object], where: str) -> T:
    """An instance of the dataclass `cls`. Strings are read as the type of the knob.

    Raises UnknownName for a knob it does not have, ConfigError for a value of the wrong type or out of range."""
    return cls(**convert(cls, values, where))


def convert(cls: type[object], values: Mapping[str, object], where: str) -> dict[str, Any]:
    """The values as the types of the knobs of `cls`, which is not made. Raises as `build` does."""
    kinds = _types(cls)
    for name in values:
        if name not in kinds:
            raise UnknownName(f"knob of {where}", name, kinds)
    return {name: read(f"{where}.{name}", value, kinds[name]) for name, value in values.items()}


def strategy(spec: str | Mapping[str, object]) -> Strategy:
    """A strategy from "name", "name:n=8,k=2", "name(n=8,k=2)" (the way to write one inside another's knobs) or
    {"strategy": "name", "n": 8}. Raises UnknownName, ConfigError."""
    if isinstance(spec, str):
        name, rest = parted(spec, "strategy")
        values: Mapping[str, object] = pairs(rest, f"strategy {name}")
    else:
        name = str(spec.get("strategy", ""))
        _check_brackets(name, "strategy")
        values = {key: value for key, value in spec.items() if key != "strategy"}
    made = registry.strategy_class(name)
    if "scorer" in values and "scorer" not in _types(made):
        allowed = f"a scorer of the outermost strategy, for all inside: cascade:scorer={values['scorer']}, or --scorer"
        raise ConfigError(f"knob of {name}", "scorer", allowed)
    return build(made, values, name)


def parted(spec: str, field: str) -> tuple[str, str]:
    """The name and the knobs of "name", "name:knobs" or "name(knobs)". Raises ConfigError for an open bracket."""
    _check_brackets(spec, field)
    inside = _INSIDE.fullmatch(spec)
    name, _, rest = (inside[1], "", inside[2]) if inside else spec.partition(":")
    return name.strip(), rest


def _check_brackets(spec: str, field: str) -> None:
    if spec.count("(") > spec.count(")"):
        raise ConfigError(field, spec, "a ) for every (: a bracket is not closed")


def knobs_of(cls: type[object]) -> dict[str, str]:
    """Knob names with a readable type and default, for help texts."""
    found = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        allowed = "|".join(str(each.value) for each in type(field.default)) if isinstance(field.default, Enum) else ""
        found[field.name] = _shown(field.default) + (f" ({allowed})" if allowed else "")
    return found


def _shown(value: object) -> str:
    """A value as it would be written on a command line."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return "+".join(map(_shown, value)) or "none"
    if dataclasses.is_dataclass(value) and hasattr(value, "name"):
        knobs = ",".join(f"{field.name}={_shown(getattr(value, field.name))}" for field in dataclasses.fields(value))
        return f"{value.name}({knobs})"
    return "none" if value is None else str(value)


def pairs(text: str, where: str) -> dict[str, object]:
    """ "a=1,b=x" into names and text values. Raises ConfigError where a part has no "=", or a name comes twice."""
    found: dict[str, object] = {}
    for part in _parted(text, ",", where):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ConfigError(where, part, "knob=value, separated by commas")
        if name.strip() in found:
            raise ConfigError(where, text, f"{name.strip()} once")
        found[name.strip()] = value.strip()
    return found


def _parted(text: str, mark: str, where: str) -> list[str]:
    """The parts of a text between marks, those inside brackets left alone; a blank text has none. Raises ConfigError
    where there is nothing between two marks, or beside one."""
    if not text.strip():
        return []
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == mark and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    if not all(part.strip() for part in parts):
        raise ConfigError(where, text, f"something before and after every {mark}")
    return [part.strip() for part in parts]


def _types(cls: type[object]) -> Mapping[str, Any]:
    if not dataclasses.is_dataclass(cls):
        raise ConfigError("class", cls.__name__, "a dataclass")
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def read(where: str, value: object, kind: Any) -> Any:
    """A value as the type of a knob. Raises ConfigError, UnknownName."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None or value in ("", "none"):
            return None
        return read(where, value, next(part for part in parts if part is not type(None)))
    if origin is tuple:
        return _sequence(where, value, parts[0])
    if kind is Strategy and isinstance(value, (str, Mapping)):
        return strategy(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(where, value, kind)
    return _switch(where, value) if kind is bool else _number_or_text(where, value, kind)


def _sequence(where: str, value: object, part: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = _parted(value, "+", where)
    if not isinstance(value, Sequence):
        raise ConfigError(where, value, "a list")
    return tuple(read(where, each, part) for each in value)


def _member(where: str, value: object, kind: type[Enum]) -> Enum:
    for member in kind:
        if value is member or value == member.value:
            return member
    raise UnknownName(where, str(value), [str(member.value) for member in kind])


def _switch(where: str, value: object) -> bool:
    named = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if isinstance(value, bool):
        return value
    if str(value).lower() not in named:
        raise ConfigError(where, value, "true or false")
    return named[str(value).lower()]


def _number_or_text(where: str, value: object, kind: Any) -> Any:
    names = {int: "a whole number", float: "a number", str: "a text"}
    if kind not in names:
        raise ConfigError(where, value, f"nothing: {kind} cannot be set from text")
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer()
    fits = isinstance(value, str) or (kind is int and whole) or (kind is float and isinstance(value, (int, float)))
    if isinstance(value, bool) or not fits:
        raise ConfigError(where, value, names[kind])
    try:
        return kind(value)
    except ValueError:
        raise ConfigError(where, value, names[kind]) from None
