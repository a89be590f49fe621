"""Equivalence of mathematical expressions, by math-verify on SymPy."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FrameType

_SECONDS = 5.0  # per comparison; usual ones take milliseconds
_LONGEST = 200  # characters
# What SymPy would evaluate for hours: towers and large powers, factorials, integrals, sums.
_EXPENSIVE = re.compile(r"\^[^-+*/=,]*\^|\^\{?-?[0-9]{3}|!|\\(?:i*nt|oint|sum|prod|lim|binom)(?![a-z])")
# A word would be read as a product of one-letter symbols, and every anagram as its equal.
_WORD = re.compile(
    r"(?<![\\A-Za-z])(?!(?:a?(?:sin|cos|tan|cot|sec|csc)h?|arc(?:sin|cos|tan)|log|exp|sqrt|[pbvBV]?matrix)(?![A-Za-z]))"
    r"[A-Za-z]{3,}"
)


@lru_cache(maxsize=4096)
def equivalent(a: str, b: str) -> bool:
    """Whether two expressions are mathematically equal. False where they cannot be compared: they are words, too long,
    would take too long, or math-verify is not installed. Works in any thread; blocks it for up to 5 s."""
    if any(len(x) > _LONGEST or _EXPENSIVE.search(x) or _WORD.search(x) for x in (a, b)):
        return False
    try:
        from math_verify import grader, parser
    except ImportError:
        return False
    # Its own timeouts need the main thread's signals; ours replaces them, so its warning about that is moot.
    grader.TIMEOUT_WARNING_SHOWN = parser.TIMEOUT_WARNING_SHOWN = True
    try:
        with _within(_SECONDS):
            first, second = (parser.parse(f"${x}$", parsing_timeout=None) for x in (a, b))
            forward = grader.verify(first, second, timeout_seconds=None)
            return bool(forward or grader.verify(second, first, timeout_seconds=None))  # it is not symmetric
    except _TimeUp:
        return False


class _TimeUp(BaseException):
    """Not an Exception, so that nothing on the way swallows it."""


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Stop the Python code inside after `seconds`, by a trace function: unlike a signal, it works in every thread."""
    end = time.monotonic() + seconds

    def check(frame: FrameType, event: str, arg: object) -> None:
        if time.monotonic() > end:
            raise _TimeUp

    before = sys.gettrace()
    sys.settrace(check)
    try:
        yield
    finally:
        sys.settrace(before)
