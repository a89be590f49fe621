"""Tasks from JSONL files and from the hub: one item a line, bad lines named and left out."""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poise.answers import same
from poise.core import Kind
from poise.errors import ConfigError, DataError, UnknownName
from poise.evals.rows import Item
from poise.evals.task_spec import Settings, check_draw, kind_named, kind_of

log = logging.getLogger(__name__)

_HUB_GSM8K, _HUB_BBH = "openai/gsm8k", "SaylorTwift/bbh"  # the latter is the copy of BBH without a loading script
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FileTask:
    """Items are stored; `seed` shuffles them, whatever the limit. An item's id holds its line, not the seed."""

    name: str
    stored: tuple[Item, ...]
    rejected: tuple[DataError, ...] = ()

    def items(self, limit: int, seed: int) -> list[Item]:
        check_draw(limit, seed)
        order = list(self.stored)
        random.Random(seed).shuffle(order)
        return order[:limit]

    def grade(self, item: Item, value: str | None) -> bool:
        return value is not None and same(value, item.truth, item.kind)


class _BadLine(Exception):
    """What was found, and what a line should hold instead."""

    def __init__(self, got: object, allowed: str) -> None:
        self.got, self.allowed = got, allowed
        super().__init__(allowed)


def file_task(family: str, settings: Settings) -> FileTask:
    """`gsm8k`, `bbh` or `jsonl`, from a file or from the hub (package `datasets`)."""
    path, label, kind, lines = settings.take("path"), settings.take("label"), settings.kind(), settings.span("lines")
    if path:
        source, rows = path, _read(Path(path))
    elif family == "gsm8k":
        source, rows = _HUB_GSM8K, _hub(_HUB_GSM8K, "main", settings.take("split", "test"))
    elif family == "bbh" and "task" in settings:
        source, rows = _HUB_BBH, _hub(_HUB_BBH, settings.take("task"), "test")
    else:
        raise ConfigError("task", settings.spec, f"{family}:path=FILE" + " or bbh:task=NAME" * (family == "bbh"))
    settings.finish(("path", "lines", *{"gsm8k": ("split",), "bbh": ("task",)}.get(family, ())))
    name = label or (Path(path).stem if path else settings.spec)
    task = _collect(
        name, source, ((line, row) for line, row in rows if lines is None or line in lines), _TRUTHS[family]
    )
    return task if kind is None else replace(task, stored=tuple(replace(item, kind=kind) for item in task.stored))


def _collect(name: str, source: str, rows: Iterator[tuple[int, str]], truth: Callable[[str], str]) -> FileTask:
    items: dict[str, Item] = {}
    rejected = []
    for line, text in rows:
        try:
            item = _item(name, line, text, truth)
            if item.id in items:
                raise _BadLine(item.id, "an id that no line before has")
            items[item.id] = item
        except _BadLine as bad:
            rejected.append(DataError(source, line, bad.got, bad.allowed))
    for error in rejected[:_SHOWN]:
        log.warning("left out: %s", error)
    if len(rejected) > _SHOWN:
        log.warning("%s: %d lines left out in all", source, len(rejected))
    if not items:
        raise rejected[0] if rejected else DataError(source, 0, "no lines", "at least one line")
    return FileTask(name, tuple(items.values()), tuple(rejected))


def _read(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, numbered from 1. The whole file is read, so that a bad byte is found at once."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise DataError(str(path), 0, str(error), "a readable file") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(str(path), line, f"byte {error.start} is not UTF-8", "UTF-8 text") from None
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _hub(name: str, config: str, split: str) -> Iterator[tuple[int, str]]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise ConfigError("task", name, "pip install datasets, or path=FILE.jsonl") from None
    try:
        rows = load_dataset(name, config, split=split)
    except (OSError, ValueError, RuntimeError) as error:  # no network, no such config or split, offline mode
        raise DataError(name, 0, str(error), "a split that the hub has (or path=FILE.jsonl)") from None
    return ((number, json.dumps(row)) for number, row in enumerate(rows, 1))


def _item(name: str, line: int, text: str, truth: Callable[[str], str]) -> Item:
    try:
        row = json.loads(text)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair could not be written to a trace
    except (ValueError, RecursionError) as error:
        raise _BadLine(text.strip(), f"one JSON object ({error})") from None
    if not isinstance(row, dict):
        raise _BadLine(text.strip(), "a JSON object with question and answer")
    said = _text(row, "answer", "target")
    answer = truth(said)
    id = f"{name}/{_text(row, 'id') if 'id' in row else line}"
    cluster = f"{name}/{_text(row, 'cluster')}" if "cluster" in row else id
    worked = said if "####" in said else ""
    return Item(id, name, _text(row, "question", "input"), answer, _kind(row, answer), cluster, worked)


def _text(row: dict[str, Any], *fields: str) -> str:
    """The first of these fields that the row has, as text. BBH says input and target on the hub."""
    value = next((row[field] for field in fields if field in row), None)
    endless = isinstance(value, float) and not math.isfinite(value)  # NaN and Infinity, which JSON does not have
    if value is None or isinstance(value, (dict, list)) or endless or not str(value).strip():
        raise _BadLine(value, f"{fields[0]}: text that is not empty")
    return str(value) if isinstance(value, str) else json.dumps(value)


def _kind(row: dict[str, Any], answer: str) -> Kind:
    if "kind" not in row:
        return kind_of(answer)
    try:
        return kind_named(str(row["kind"]).lower())
    except UnknownName as error:
        raise _BadLine(row["kind"], error.allowed) from None


def _after_hashes(answer: str) -> str:
    value = answer.rpartition("####")[2].strip().removeprefix("$").replace(",", "")
    if "####" not in answer or not value:
        raise _BadLine(answer, "a worked solution ending in #### and the answer")
    return value


_TRUTHS: dict[str, Callable[[str], str]] = {"gsm8k": _after_hashes, "bbh": str.strip, "jsonl": str.strip}
