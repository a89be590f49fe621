"""A run directory: what a benchmark leaves behind. Readable at any moment, resumable after any death.

    config.json        the exact settings; a run cannot go on under others
    environment.json   the machine, the versions, the models; "resumed" lists others it went on under
    traces.jsonl       {"version", "item", "arm", "trace"}, one line per question and arm
    grades.jsonl       one row per line; for one item and arm the last line counts
    energy.jsonl       joules read from a meter since the line before; null where there is none
    summary.json       what is read out of the rows
    lock               held by the one process that writes

A line is one `write` to the operating system, so killing the process loses at most the line being written; that torn
line is cut off when the run goes on. Lines are forced to the disk when the run is closed (no earlier: a sync per line
would be timed as part of the questions), so only a power cut can lose the last seconds.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from poise.errors import ConfigError, DataError, StoreError
from poise.records import Json, to_line
from poise.store.lock import Lock
from poise.store.whole import write_whole

CONFIG, ENVIRONMENT, SUMMARY = "config.json", "environment.json", "summary.json"
TRACES, GRADES, ENERGY = "traces.jsonl", "grades.jsonl", "energy.jsonl"
_BLOCK = 1 << 16
_SHOWN = 3  # of settings that differ
_log = logging.getLogger(__name__)


class RunDir:
    """The run directory at `path`. Reading needs no lock and changes nothing; appending needs `claimed`."""

    settings_file: ClassVar[str] = CONFIG
    line_files: ClassVar[tuple[str, ...]] = (TRACES, GRADES, ENERGY)
    """Open for appending as long as the directory is claimed."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._descriptors: dict[str, int] = {}

    def read(self, name: str) -> Json | None:
        """A JSON file of the run; None where there is none yet. Raises DataError where it is broken."""
        try:
            data = (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _parsed(data, self.path / name, 0)

    def lines(self, name: str) -> Iterator[Json]:
        """The whole lines of a file, oldest first; a line still being written (or torn) is left out.

        Raises DataError, naming the line, where one is broken."""
        path = self.path / name
        if not path.exists():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield _parsed(line, path, number)

    @contextlib.contextmanager
    def claimed(self, config: Json, environment: Json) -> Iterator[RunDir]:
        """Hold the directory for writing, made where it is missing; leaving forces everything to the disk.

        Raises StoreError when another process writes there or the disk refuses, and ConfigError, listing the fields
        that differ, when the run was begun with another `config`."""
        with contextlib.ExitStack() as stack:
            with self._stored():
                self.path.mkdir(parents=True, exist_ok=True)
                stack.enter_context(Lock(self.path / "lock"))
                self._begin(json.loads(to_line(config)), json.loads(to_line(environment)))
                for name in self.line_files:
                    self._descriptors[name] = _open(self.path / name)
                    stack.callback(self._close, name)
            yield self

    def append(self, name: str, data: Json) -> None:
        """Add one line. Raises StoreError when it cannot be written; what was there stays whole."""
        descriptor, line, written = self._descriptors[name], (to_line(data) + "\n").encode(), 0
        try:
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise self._broken(error) from error

    def write(self, name: str, data: Json) -> None:
        """Replace a JSON file, at once and whole. Raises StoreError when it cannot be written."""
        write_whole(self.path / name, json.dumps(data, indent=2) + "\n")

    def write_lines(self, name: str, rows: Iterable[Json]) -> None:
        """The same for a file of JSON lines."""
        write_whole(self.path / name, "".join(to_line(row) + "\n" for row in rows))

    def _begin(self, config: Json, environment: Json) -> None:
        """Write config and environment, or check that they are those of the run that goes on here."""
        begun, first = self.read(self.settings_file), self.read(ENVIRONMENT)
        if begun is None or first is None:
            self.write(ENVIRONMENT, environment)
            self.write(self.settings_file, config)
            return
        changes = list(_changes(begun, config))
        if changes:
            raise self._other(changes)
        resumed = first.pop("resumed", [])
        if environment not in [first, *resumed]:
            self.write(ENVIRONMENT, {**first, "resumed": [*resumed, environment]})

    def _other(self, changes: Sequence[tuple[str, Any, Any]]) -> ConfigError:
        """What to say of settings that are not those of the run; the first few, each cut short."""
        names, old, new = zip(*changes, strict=True)
        here = f"as in {self.path / self.settings_file}, or a new run directory"
        if all(name.startswith("items") for name in names):
            return ConfigError("task", "questions that are not those of this run: its file or source changed", here)
        before, after = ([*map(_brief, side[:_SHOWN]), *["..."] * (len(side) > _SHOWN)] for side in (old, new))
        plain = len(new) == 1 and not isinstance(new[0], (dict, list))
        return ConfigError(", ".join(names), new[0] if plain else _Words(after), f"{', '.join(before)} {here}")

    def _open_lines(self, name: str) -> None:
        """Open one more file for appending; whoever opens it closes it."""
        with self._stored():
            self._descriptors[name] = _open(self.path / name)

    def _close(self, name: str) -> None:
        descriptor = self._descriptors.pop(name)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # a pipe or a device, with nothing to sync
                raise self._broken(error) from error
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _stored(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._broken(error) from error

    def _broken(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path}: {error.strerror or error}; what is finished stays readable")


def _brief(setting: Any) -> str:
    """A setting as people would name it: arms by their names, anything long cut short."""
    if isinstance(setting, list) and setting and all(isinstance(each, dict) and "name" in each for each in setting):
        return "[" + ", ".join(str(each["name"]) for each in setting) + "]"
    return reprlib.repr(setting)


class _Words(tuple[str, ...]):
    """Texts that are shown as they are."""

    __slots__ = ()

    def __repr__(self) -> str:
        return ", ".join(self)


def _parsed(data: bytes, path: Path, line: int) -> Json:
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise DataError(str(path), line, data[:60], "JSON") from error
    if not isinstance(parsed, dict):
        raise DataError(str(path), line, parsed, "a JSON object")
    return parsed


def _changes(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(field, old, new) wherever two settings differ; fields of fields are joined by dots."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _changes(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(before, after, f"{at}.{index}")
    elif old != new:
        yield at, old, new


def _open(path: Path) -> int:
    """Open for appending; what follows the last whole line is cut off."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    size = end = os.fstat(descriptor).st_size
    while end:
        start = max(end - _BLOCK, 0)
        os.lseek(descriptor, start, os.SEEK_SET)
        newline = os.read(descriptor, end - start).rfind(b"\n")
        end = start + newline + 1
        if newline >= 0:
            break
    if end < size:
        _log.warning("%s: cut off %d bytes of a torn last line", path, size - end)
        os.ftruncate(descriptor, end)
    return descriptor
