"""What went wrong at a server, as an error of ours. Pure."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from poise.errors import EngineError, EngineOverloaded, EngineRefused

_LONGEST = 300  # characters of what a server said
_OVERLOADED = (429, 503, 529)
_PASSING = (408, 425)  # refusals that a second try can mend
_SPENT = "insufficient_quota"  # a 429 that no waiting mends


def failure_of_answer(status: int, headers: Mapping[str, str], body: bytes) -> EngineError:
    """The error that an HTTP answer other than 200 stands for; `body` may be JSON, HTML or anything else."""
    text = body.decode("utf-8", "replace")
    return _failure(status, f"HTTP {status} {said_in(text)}".strip(), text, retry_after(headers.get("Retry-After")))


def failure_of_no_stream(content_type: str, body: bytes) -> EngineError:
    """The error that an HTTP 200 without a stream stands for: what came, by its type and its first words."""
    text = body.decode("utf-8", "replace")
    said = said_in(text)
    if content_type == "application/json" and said:
        return EngineError(f"the server did not stream: {said}")
    start = said or " ".join(text.split())[:_LONGEST] or "nothing"
    return EngineError(f"the server did not stream, the URL may be wrong: it sent {content_type}: {start}")


def failure_of_event(error: Any) -> EngineError:
    """The error that an error object inside a stream stands for."""
    code = error.get("code") if isinstance(error, dict) else None
    text = json.dumps(error)
    said = said_in(text) or "an error without a message"
    return _failure(code if isinstance(code, int) and code >= 400 else 500, f"in the stream: {said}", text, None)


def _failure(status: int, message: str, text: str, wait_seconds: float | None) -> EngineError:
    if status in _OVERLOADED and _SPENT not in text:
        return EngineOverloaded(message, wait_seconds)
    if 300 <= status < 500 and status not in _PASSING:
        return EngineRefused(message)
    return EngineError(message)


def said_in(text: str) -> str:
    """The human part of an error body, on one line, cut to 300 characters."""
    try:
        said = json.loads(text)
    except ValueError:
        said = re.sub(r"(?s)<(style|script).*?</\1>|<[^>]*>", " ", text)
    while isinstance(said, dict):
        said = next((said[key] for key in ("error", "message", "detail") if said.get(key)), "")
    return " ".join(str(said or "").split())[:_LONGEST]


def retry_after(header: str | None) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or an HTTP date; None when it holds neither."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
