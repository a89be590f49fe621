"""Scorers by the words that name them: "surprisal", or with knobs, "verifier(folder=runs/head)"."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping

from poise import knobs, registry
from poise.errors import UnknownName
from poise.seams import Scorer


class Scorers(Mapping[str, Scorer]):
    """Every scorer, by its name and by any spec of it; each is made when it is first asked for, once. Iterates over the
    names alone. Asking raises UnknownName and ConfigError for a spec that cannot work."""

    def __init__(self) -> None:
        self._made: dict[str, Scorer] = {}

    def __getitem__(self, spec: str) -> Scorer:
        if spec not in self._made:
            self._made[spec] = scorer_of(spec)
        return self._made[spec]

    def __contains__(self, spec: object) -> bool:
        return isinstance(spec, str) and knobs.parted(spec, "scorer")[0] in registry.names("scorers")

    def __iter__(self) -> Iterator[str]:
        return iter(registry.names("scorers"))

    def __len__(self) -> int:
        return len(registry.names("scorers"))


def scorer_of(spec: str) -> Scorer:
    """A scorer from its name, or from "name(knob=value,...)". Raises UnknownName, ConfigError."""
    name, rest = knobs.parted(spec, "scorer")
    made = registry.scorer_class(name)
    values = knobs.pairs(rest, f"scorer {name}")
    kinds = _kinds(made)
    for knob in values:
        if knob not in kinds:
            raise UnknownName(f"knob of scorer {name}", knob, kinds)
    found: Scorer = made(**{knob: knobs.read(f"{name}.{knob}", text, kinds[knob]) for knob, text in values.items()})
    return found


def _kinds(made: type[Scorer]) -> dict[str, object]:
    """The knobs of a scorer, with their types."""
    hints = typing.get_type_hints(made.__init__)
    return {name: hints.get(name, str) for name in list(inspect.signature(made).parameters)}
