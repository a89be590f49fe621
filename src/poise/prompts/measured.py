"""Lines of a prompt file that tell what it was worth: read, left out of its hash, and written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poise.errors import DataError
from poise.prompts.file import Measurement

_MARK = b"measured "
_MEASURED = re.compile(r"([\d.]+) % \[([\d.]+), ([\d.]+)\], ([\d.]+(?:e\+?\d+)?) tokens, n = (\d+), (.+)")


def measurement(model: str, value: str, path: str, number: int) -> Measurement:
    """What line `number` of a file says. Raises DataError."""
    match = _MEASURED.fullmatch(value)
    try:
        if not match or not model:
            raise ValueError(value)
        accuracy, low, high, tokens = (float(match[place]) for place in range(1, 5))
    except ValueError:
        allowed = "measured MODEL: 61.2 % [57.0, 65.3], 83 tokens, n = 504, TASK"
        raise DataError(path, number, f"measured {model}: {value}", allowed) from None
    if not 0 <= low <= accuracy <= high <= 100:
        raise DataError(path, number, value, "an interval around the accuracy, 0 to 100 %")
    return Measurement(model, accuracy / 100, low / 100, high / 100, tokens, int(match[5]), match[6])


def without_measurements(data: bytes) -> bytes:
    """A file's bytes but for what was measured of it, which makes it no other prompt."""
    lines = data.splitlines(keepends=True)
    end = _end(lines)
    return b"".join(line for place, line in enumerate(lines) if place >= end or not line.lstrip().startswith(_MARK))


def with_measurements(data: bytes, measured: Sequence[Measurement]) -> bytes:
    """A file's bytes with measurements at the end of its header, in the place of what it says of the same models on the
    same tasks; all else stays as it is. For a file that `parse` reads."""
    lines = data.splitlines(keepends=True)
    end = _end(lines)
    known = {(each.model, each.task) for each in measured}
    header = [line for line in lines[:end] if _about(line) not in known]
    ending = lines[0][len(lines[0].rstrip(b"\r\n")) :]
    added = [f"measured {each.model}: {each.told()}".encode() + ending for each in measured]
    return b"".join([*header, *added, *lines[end:]])


def _about(line: bytes) -> tuple[str, str] | None:
    """The model and the task of a measurement."""
    if not line.lstrip().startswith(_MARK):
        return None
    key, _, value = (part.strip() for part in line.decode().partition(":"))
    told = measurement(key.removeprefix(_MARK.decode()).strip(), value, "", 0)
    return told.model, told.task


def _end(lines: Sequence[bytes]) -> int:
    """Which line closes the header."""
    return next((place for place, line in enumerate(lines) if place and line.rstrip() == b"---"), len(lines))
