"""Which prompt of an optimisation is written out, by what its user wants of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from poise.errors import ConfigError
from poise.tune.archive import Archive, Measured

ALLOWED = "best, knee, max_drop=SHARE or latency=SECONDS"


class Wish(Enum):
    """What is wanted: the most accurate prompt with a gain that is shown, or the initial one (BEST); where more tokens
    begin to buy little (KNEE); the shortest that is shown not to lose so much accuracy (MAX_DROP, a share); the most
    accurate within a time (LATENCY, the 95th percentile in seconds, of answers drawn many at once: see
    `poise.tune.generate.AT_ONCE`)."""

    BEST = "best"
    KNEE = "knee"
    MAX_DROP = "max_drop"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Pick:
    """A wish, and the number that belongs to MAX_DROP and LATENCY. Raises ConfigError for a number that cannot be."""

    wish: Wish = Wish.BEST
    number: float = 0.0

    def __post_init__(self) -> None:
        if self.wish is Wish.MAX_DROP and not 0 < self.number < 1:
            raise ConfigError("pick", f"max_drop={self.number:g}", "max_drop between 0 and 1, a share: .03 is 3 points")
        if self.wish is Wish.LATENCY and not self.number > 0:
            raise ConfigError("pick", f"latency={self.number:g}", "latency above 0, in seconds")

    @classmethod
    def read(cls, text: str) -> Pick:
        """From best, knee, max_drop=.03 or latency=2.0. Raises ConfigError."""
        name, equals, number = text.strip().partition("=")
        wishes = {wish.value: wish for wish in Wish}
        wish = wishes.get(name.strip())
        if wish is None or bool(equals) != (wish in (Wish.MAX_DROP, Wish.LATENCY)):
            raise ConfigError("pick", text, ALLOWED)
        try:
            return cls(wish, float(number) if equals else 0.0)
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError("pick", text, ALLOWED) from None

    def told(self) -> str:
        """As `read` takes it."""
        return f"{self.wish.value}={self.number:g}" if self.number else self.wish.value

    @classmethod
    def one(cls, rule: str, latency: float | None, max_drop: float | None) -> Pick:
        """By exactly one of a rule as `read` takes it, seconds and a share. Raises ConfigError."""
        if [bool(rule), latency is not None, max_drop is not None].count(True) != 1:
            raise ConfigError("pick", (rule, latency, max_drop), f"one of latency=, max_drop= and a rule: {ALLOWED}")
        if latency is not None:
            return cls(Wish.LATENCY, latency)
        return cls.read(rule) if max_drop is None else cls(Wish.MAX_DROP, max_drop)

    def of(self, archive: Archive, best: Measured) -> Measured:
        """The prompt, out of an archive of those that were judged. `best`: the one for BEST, in it or not. Raises
        ConfigError where the rows are too few to show so small a drop, or no prompt is so fast."""
        if self.wish is Wish.BEST:
            return best
        if self.wish is Wish.KNEE:
            return archive.knee()
        if self.wish is Wish.MAX_DROP:
            return archive.shortest(self.number)
        found = archive.fastest(self.number)
        if found is None:
            fastest = min(placed.measured.latency for placed in archive.front())
            allowed = f"{fastest:.3g} seconds or more, what the fastest prompt takes"
            raise ConfigError("pick", f"latency={self.number:g}", allowed)
        return found
