"""Which prompt of an optimisation is written out, by what its user wants of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from poise.errors import ConfigError
from poise.tune.archive import Archive, Measured


class Wish(Enum):
    """What is wanted: the most accurate prompt with a gain that is shown, or the initial one (BEST); where more tokens
    begin to buy little (KNEE); the shortest that is shown not to lose so much accuracy (MAX_DROP, a share); the most
    accurate within a time (LATENCY, the 95th percentile in seconds)."""

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
        allowed = "best, knee, max_drop=SHARE or latency=SECONDS"
        wish = wishes.get(name.strip())
        if wish is None or bool(equals) != (wish in (Wish.MAX_DROP, Wish.LATENCY)):
            raise ConfigError("pick", text, allowed)
        try:
            return cls(wish, float(number) if equals else 0.0)
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError("pick", text, allowed) from None

    def of(self, measured: Sequence[Measured], best: str) -> Measured:
        """The prompt, out of those that were judged on the same rows. `best`: the name of the one for BEST. Raises
        ConfigError where the rows are too few to show so small a drop, or no prompt is so fast."""
        if self.wish is Wish.BEST:
            return next(one for one in measured if one.name == best)
        archive = Archive()
        for one in measured:
            archive.add(one)
        if self.wish is Wish.KNEE:
            return archive.knee()
        if self.wish is Wish.MAX_DROP:
            return archive.shortest(self.number)
        found = archive.fastest(self.number)
        if found is None:
            fastest = min(placed.measured.latency for placed in archive.front())
            raise ConfigError(
                "pick", f"latency={self.number:g}", f"{fastest:.2f} seconds or more, as the fastest takes"
            )
        return found
