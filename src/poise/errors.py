"""Every error Poise raises, split by when it can happen.

PoiseError
├── ConfigError            before a token is spent; never retried; says field, got, allowed
│   ├── UnknownName        a name that no registry knows (names the nearest)
│   ├── AbilityMissing     the strategy or scorer needs what the engine cannot do
│   └── DataError          an input file is unreadable or malformed (names file and line)
└── RunError               while running; `retryable` says whether the same call may succeed later
    ├── EngineError        the engine or the way to it failed
    │   ├── EngineUnreachable   no connection, or it broke
    │   ├── EngineSilent        first-byte or idle timeout
    │   ├── EngineOverloaded    429 / 503, with `retry_after` seconds where the server says
    │   └── EngineRefused       the server understood and said no (other 4xx); never retried
    ├── ScorerError        a scorer could not judge
    ├── ModelError         weights cannot be had: missing, truncated, wrong hash, no network
    ├── TrainingError      a training cannot go on: its loss is no number
    ├── StoreError         a run directory is locked, or the disk is full
    └── NoAnswer           deadline or budget passed, or every draw failed, before any draft existed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

AMBIGUOUS = {"cod": (("chain_of_draft", "shorter reasoning steps"), ("chain_of_density", "denser texts"))}
"""Names with two meanings in the field, which therefore name nothing here."""


class PoiseError(Exception):
    """Base of all errors that Poise raises on purpose."""


class ConfigError(PoiseError, ValueError):
    """A setting that cannot work. `field`, `got` and `allowed` are also attributes."""

    def __init__(self, field: str, got: object, allowed: str) -> None:
        self.field, self.got, self.allowed = field, got, allowed
        shown = repr(got)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        super().__init__(f"{field}: got {shown}; allowed: {allowed}")


class UnknownName(ConfigError):
    """A name that no registry knows; `nearest` is the closest known one, if any is close. Of a name with two meanings
    both are told, and none is nearest. `others`: what would do beside the known names."""

    def __init__(self, field: str, got: str, known: Iterable[str], others: str = "") -> None:
        names = sorted(known)
        meant = [(name, what) for name, what in AMBIGUOUS.get(got.lower(), ()) if name in names]
        close = [] if meant else difflib.get_close_matches(got, names, n=1, cutoff=0.5)
        self.nearest = close[0] if close else None
        hint = f"did you mean {self.nearest!r}? " if self.nearest else ""
        if meant:
            hint = f"say which: {' or '.join(f'{name} ({what})' for name, what in meant)}; "
        super().__init__(field, got, f"{hint}one of {', '.join(names)}{others and f'; or {others}'}")


class AbilityMissing(ConfigError):
    """A strategy or scorer needs an ability that its engine lacks."""

    def __init__(self, who: str, engine: str, missing: Iterable[str], would_do: Iterable[str]) -> None:
        lacking = ", ".join(sorted(missing))
        others = ", ".join(sorted(would_do)) or "none of those configured"
        super().__init__(f"engine of {who}", engine, f"an engine that can {lacking} ({others})")


class DataError(ConfigError):
    """An input file that cannot be read as asked; `path` and `line` (1-based, 0 if whole file) say where."""

    def __init__(self, path: str, line: int, got: object, allowed: str) -> None:
        self.path, self.line = path, line
        super().__init__(f"{path}, line {line}" if line else path, got, allowed)


class RunError(PoiseError):
    """Something failed while running. `retryable`: the same call may succeed later."""

    retryable = False


class EngineError(RunError):
    """The engine, or the way to it, failed."""

    retryable = True


class EngineUnreachable(EngineError):
    """No connection to the engine, or the connection broke."""


class EngineSilent(EngineError):
    """The engine accepted the call and then said nothing for too long."""


class EngineOverloaded(EngineError):
    """The engine asked us to come back later (429 or 503)."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class EngineRefused(EngineError):
    """The engine understood the call and said no; repeating it cannot help."""

    retryable = False


class ScorerError(RunError):
    """A scorer could not judge a path."""


class ModelError(RunError):
    """Model weights cannot be had: missing, truncated, wrong hash, or no network."""


class TrainingError(RunError):
    """A training cannot go on; its last good checkpoint is kept."""


class StoreError(RunError):
    """A run directory is locked by another process, or what is finished could not be written."""


class NoAnswer(RunError):
    """No draft exists when the run had to end; the message says why, `trace` (if any) what happened."""

    trace: object = None
