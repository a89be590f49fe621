"""Records: traces as compact, versioned JSON lines and back, and with their texts hidden.

Times are rounded to microseconds and logprobs to four decimals; everything else comes back as it was, except that
strategies come back as `Recorded`, to be shown and compared but not run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, cast

from poise.errors import DataError
from poise.records.events import READERS, WRITERS, usage_from_json, usage_to_json
from poise.records.settings import Json, Recorded, plan_to_json, sampling_to_json, strategy_to_json
from poise.trace import Trace

__all__ = [
    "VERSION",
    "Json",
    "Recorded",
    "plan_to_json",
    "redact",
    "sampling_to_json",
    "strategy_to_json",
    "to_line",
    "trace_from_json",
    "trace_to_json",
    "usage_from_json",
    "usage_to_json",
]

VERSION = 1
to_line: Callable[[Json], str] = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_PRIVATE = frozenset({"text", "value", "suffix", "message", "failure"})


def trace_to_json(trace: Trace) -> Json:
    """A trace as one object, ready for `to_line`. Costs a few microseconds per event."""
    return {"version": VERSION, "events": [WRITERS[type(event)](event) for event in trace.events]}


def trace_from_json(data: Json) -> Trace:
    """The trace back. Raises DataError for another version or a broken record."""
    version = data.get("version")
    if version != VERSION:
        raise DataError("trace", 0, version, f"version {VERSION}")
    try:
        return Trace([READERS[event["event"]](event) for event in data["events"]])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError("trace", 0, f"{type(error).__name__}: {error}", "a trace as Poise writes it") from error


def redact(trace_json: Json) -> Json:
    """The same trace with every text (messages, drafts, values, suffixes, what errors say) replaced by its length and
    the start of its SHA-256, and without token ids. Labels (tags, names, knobs) stay. This keeps texts from being
    read; a short value can still be guessed by hashing guesses."""
    return {**trace_json, "events": [cast(Json, _redacted(event)) for event in trace_json["events"]]}


def _redacted(node: Any) -> Any:
    if isinstance(node, (list, tuple)):
        return [_redacted(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _hidden(key, item) for key, item in node.items() if key != "token_ids"}


def _hidden(key: str, item: Any) -> Any:
    if key in _PRIVATE and isinstance(item, str):
        return f"{len(item)} characters, sha256 {hashlib.sha256(item.encode()).hexdigest()[:12]}"
    return item if key == "strategy" else _redacted(item)
