"""A recipe: everything that decides what a training does, as one TOML file.

model = "default"                  [[source]]
tokens = 3_000_000                 task = "gsm_symbolic:templates=0-84"
rank = 16                          count = 8000
seed = 1                           prompts = { bare = 0.8, cot = 0.1, direct = 0.1 }
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise import knobs, prompts
from poise.errors import ConfigError, DataError, UnknownName
from poise.lab.quiet_star.settings import QuietStarSettings

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class Source:
    """Where examples come from: a task spec as benchmarks write it, `count` items of `seed`, and how often each prompt
    wraps them (weights). `direct` prompts are answered by the value alone; with `values`, so are all. `validation`: the
    first so many items are held out, and the `count` after them are trained on."""

    task: str
    count: int
    seed: int = 1
    validation: int = 0
    prompts: tuple[tuple[str, float], ...] = (("bare", 1.0),)
    values: bool = False

    def __post_init__(self) -> None:
        if self.count < 0 or self.validation < 0 or self.count + self.validation < 1:
            raise ConfigError("source.count", self.count, "0 or more, and something to train or validate on")
        for name, weight in self.prompts:
            if name not in prompts.names():
                raise UnknownName("source.prompts", name, prompts.names())
            if not weight >= 0:
                raise ConfigError(f"source.prompts.{name}", weight, "a weight of 0 or more")
        if not sum(weight for _, weight in self.prompts) > 0:
            raise ConfigError("source.prompts", self.prompts, "at least one weight above 0")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Supervised fine-tuning with LoRA (Hu et al. 2021, arXiv 2106.09685). `tokens`: how many are trained on in all,
    questions included; passes over the data are repeated, in a new order, until then. `batch_tokens`: per optimiser
    step, in lines of `longest` tokens that hold whole examples; examples that are longer are left out.
    `learning_rate`: the peak, after `warmup` steps; it falls to zero over the last `decay` of the tokens, so that
    `tokens` can be raised later and the training goes on. `start`: an adapter of the same rank and alpha to begin with,
    a folder or one that ships with Poise by its name; none: a fresh one. `quiet_star`: learn to think, too; each
    example is then a line of its own."""

    model: str = "default"
    start: str = ""
    tokens: int = 1_000_000
    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    learning_rate: float = 1e-3
    warmup: int = 30
    decay: float = 0.25
    weight_decay: float = 0.0
    clip: float = 1.0
    batch_tokens: int = 3200
    longest: int = 320
    seed: int = 1
    sources: tuple[Source, ...] = ()
    quiet_star: QuietStarSettings | None = None
    hash: str = ""

    def __post_init__(self) -> None:
        for name in ("tokens", "rank", "batch_tokens", "longest", "learning_rate", "alpha", "clip", "decay"):
            if not getattr(self, name) > 0:
                raise ConfigError(name, getattr(self, name), "above 0")
        for name in ("warmup", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise ConfigError(name, getattr(self, name), "0 or more")
        if self.decay > 1:
            raise ConfigError("decay", self.decay, "a share of the tokens, up to 1")
        if not any(source.count for source in self.sources):
            raise ConfigError("source", self.sources, "at least one [[source]] with examples to train on")


_THOUGHTS = "quiet_star."
_TABLES = ("sources", "quiet_star", "hash")
_KNOBS = tuple(each.name for each in dataclasses.fields(Recipe) if each.name not in _TABLES)


def names() -> tuple[str, ...]:
    """The recipes that ship with Poise."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def read_recipe(name: str) -> Recipe:
    """A shipped recipe by its name, or a TOML file by its path. Raises UnknownName, DataError or ConfigError, all
    before anything is loaded."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not name.endswith(".toml") and name not in names():
        raise UnknownName("recipe", name, names())
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise DataError(str(path), 0, "no such file", "a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(str(path), 0, str(error), "TOML, as UTF-8") from None
    tables = data.pop("source", [])
    if not isinstance(tables, list):
        raise ConfigError("source", tables, "[[source]] tables")
    sources = tuple(_source(table, number) for number, table in enumerate(tables, 1))
    thinking = data.pop("quiet_star", None)
    if thinking is not None and not isinstance(thinking, dict):
        raise ConfigError("quiet_star", thinking, "a [quiet_star] table")
    quiet_star = None if thinking is None else knobs.build(QuietStarSettings, thinking, "quiet_star")
    known = _knobs(data, path.stem, (*_KNOBS, "source", "quiet_star"))
    recipe = Recipe(**known, sources=sources, quiet_star=quiet_star)
    return dataclasses.replace(recipe, hash=hashlib.sha256(text.encode()).hexdigest()[:16])


def with_knobs(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    """The recipe with some knobs set anew (texts are read as the knob's type), those of thoughts as `quiet_star.KNOB`;
    its hash stays that of the file. Raises UnknownName or ConfigError."""
    own = {name: value for name, value in values.items() if not name.startswith(_THOUGHTS)}
    deeper = {name.removeprefix(_THOUGHTS): value for name, value in values.items() if name not in own}
    changed = dataclasses.replace(recipe, **_knobs(own, "the recipe", _KNOBS))
    if not deeper:
        return changed
    if changed.quiet_star is None:
        raise ConfigError(f"{_THOUGHTS}{min(deeper)}", deeper[min(deeper)], "a recipe with a [quiet_star] table")
    settings = knobs.convert(QuietStarSettings, deeper, "quiet_star")
    return dataclasses.replace(changed, quiet_star=dataclasses.replace(changed.quiet_star, **settings))


def _knobs(values: Mapping[str, object], where: str, known: tuple[str, ...]) -> dict[str, Any]:
    for name in values:
        if name not in _KNOBS:
            raise UnknownName(f"knob of {where}", name, known)
    return knobs.convert(Recipe, values, where)


def _source(table: object, number: int) -> Source:
    if not isinstance(table, dict):
        raise ConfigError(f"source {number}", table, "a [[source]] table")
    rest = dict(table)
    weights = rest.pop("prompts", {"bare": 1.0})
    if not isinstance(weights, dict):
        raise ConfigError(f"source {number}.prompts", weights, "a table of prompt = weight")
    kept = knobs.convert(Source, rest, f"source {number}")
    if "task" not in kept or "count" not in kept:
        raise ConfigError(f"source {number}", table, "task and count")
    return Source(**kept, prompts=tuple((name, _weight(name, weight, number)) for name, weight in weights.items()))


def _weight(name: str, weight: object, number: int) -> float:
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise ConfigError(f"source {number}.prompts.{name}", weight, "a number")
    return float(weight)
