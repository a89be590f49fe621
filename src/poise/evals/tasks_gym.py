"""Tasks from reasoning-gym: endless items by seed, offline, each family with its own scorer."""

from __future__ import annotations

import itertools
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from poise.answers import same
from poise.core import Kind
from poise.errors import ConfigError, DataError, UnknownName
from poise.evals.rows import Item
from poise.evals.task_spec import Settings, check_draw, kind_of

# Most families draw item i from Random(seed + i), so neighbouring seeds would share all items but one: space them out.
_SEEDS_APART = 1_000_000
_PAGE = 500  # items are generated in pages of one size, because some families let the size change every item
_REPEATS = 2_000  # so many questions in a row that were asked already: the family has no more
_LOOK = 16  # items looked at to infer the kind

# What generators and scorers raise at knobs or texts they did not expect (they have no error class of their own).
_UNEXPECTED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

# Scorers that run the text they are given as Python: they are shown plain arithmetic, without powers, and nothing else.
_EVALUATE = {
    "binary_matrix",
    "countdown",
    "intermediate_integration",
    "n_queens",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
    "spiral_matrix",
    "string_insertion",
}
_ARITHMETIC = re.compile(r"(?!.*\*\s*\*)[\d+\-*/(). ]{1,400}")
# Truths that `same` settles alone. Some scorers are lax here: gsm_symbolic takes -5 for 5, game_of_life_halting takes
# any text without "true" for False.
_SETTLED = re.compile(r"[-+]?\d+|true|false|yes|no", re.IGNORECASE)


class GymTask:
    """Items of a seed are its different questions, in order. Seeds share none, but for families so easy that all their
    questions are few. A cluster is a template where the family has them, else the item. Right is what `poise.answers`
    finds the same as the truth, or what the family's own scorer gives full marks."""

    rejected: tuple[DataError, ...] = ()

    def __init__(
        self, name: str, family: str, knobs: Mapping[str, object], templates: range | None, kind: Kind | None
    ) -> None:
        self.name, self.family, self._knobs, self._templates = name, family, knobs, templates
        self._pages: dict[tuple[int, int], Any] = {}
        self._kind = kind or Kind.TEXT
        if next(self._found(0), None) is None:
            raise ConfigError("task.templates", str(templates), "templates that the family has")
        if kind is None and all(kind_of(str(self._entry(0, index)["answer"])) is Kind.NUMBER for index in range(_LOOK)):
            self._kind = Kind.NUMBER

    def items(self, limit: int, seed: int) -> list[Item]:
        check_draw(limit, seed)
        return list(itertools.islice(self._found(seed), limit))

    def grade(self, item: Item, value: str | None) -> bool:
        if value is None:
            return False
        if item.truth and same(value, item.truth, item.kind):
            return True
        if _SETTLED.fullmatch(item.truth) or (self.family in _EVALUATE and not _ARITHMETIC.fullmatch(value)):
            return False
        seed, index = _place(item)
        try:
            return bool(self._page(seed, index).score_answer(value, self._entry(seed, index)) >= 1.0)
        except _UNEXPECTED:  # a text that the scorer cannot read
            return False

    def entry(self, item: Item) -> Any:
        """What the generator made: question, answer and metadata."""
        return self._entry(*_place(item))

    def _found(self, seed: int) -> Iterator[Item]:
        asked: set[str] = set()
        misses = 0
        for index in itertools.count():
            entry, template = self._entry(seed, index), self._template(seed, index)
            question, truth = str(entry["question"]), entry["answer"]
            if question in asked or (self._templates is not None and template not in self._templates):
                misses += 1
                if misses == _REPEATS:
                    return
                continue
            misses = 0
            asked.add(question)
            id = f"{self.name}/{seed}/{index}"
            cluster = id if template is None else f"{self.family}/template {template}"
            yield Item(id, self.name, question, "" if truth is None else str(truth), self._kind, cluster)

    def _entry(self, seed: int, index: int) -> Any:
        try:
            return self._page(seed, index)[index % _PAGE]
        except _UNEXPECTED as error:
            raise ConfigError(f"task {self.family}", dict(self._knobs), str(error) or "see the family") from None

    def _template(self, seed: int, index: int) -> int | None:
        templates = getattr(self._page(seed, index), "task_indices", None)
        return None if templates is None else templates[index % _PAGE]

    def _page(self, seed: int, index: int) -> Any:
        """The dataset that holds an item."""
        from reasoning_gym import create_dataset

        key = seed, index // _PAGE
        if key not in self._pages:
            first = seed * _SEEDS_APART + key[1] * _PAGE
            self._pages[key] = create_dataset(self.family, seed=first, size=_PAGE, **self._knobs)
        return self._pages[key]


def _place(item: Item) -> tuple[int, int]:
    seed, index = map(int, item.id.rsplit("/", 2)[1:])
    return seed, index


def gym_task(family: str, settings: Settings) -> GymTask:
    """A family with its knobs. Imports reasoning-gym: about a second."""
    try:
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise ConfigError("task", family, 'a JSONL file, or pip install "poise[local]" for reasoning-gym') from None
    if family not in DATASETS:
        raise UnknownName("task", family, (*DATASETS, "gsm8k", "bbh", "jsonl"))
    label, kind = settings.take("label") or settings.spec, settings.kind()
    templates = settings.span("templates") if family == "gsm_symbolic" else None
    hints = typing.get_type_hints(DATASETS[family][1])
    known = tuple(knob for knob in hints if knob not in ("seed", "size"))  # those two are ours to give
    knobs = {knob: _knob(f"{family}.{knob}", hints[knob], settings.take(knob)) for knob in known if knob in settings}
    settings.finish((*known, "templates") if family == "gsm_symbolic" else known)
    return GymTask(label, family, knobs, templates, kind)


def _knob(field: str, hint: Any, text: str) -> object:
    """A text as the type that the family declares; lists are separated by commas."""
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    try:
        adapter = TypeAdapter(hint)
        try:
            return adapter.validate_python(text)
        except ValidationError:
            if "," not in text and typing.get_origin(hint) is None:
                raise
            return adapter.validate_python(text.split(","))
    except ValidationError as error:
        raise ConfigError(field, text, error.errors()[0]["msg"]) from None
    except PydanticUserError:
        raise ConfigError(field, text, "nothing: it cannot be written as text") from None
