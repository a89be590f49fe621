"""What an optimisation may spend: exactly one of calls, tokens or seconds, and never more."""

from __future__ import annotations

from dataclasses import dataclass, fields

from poise.errors import ConfigError


@dataclass(slots=True)
class Spent:
    """Draws, tokens (generated, and run through the model to find gradients and proposals), and seconds."""

    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def add(self, calls: int = 0, tokens: int = 0, seconds: float = 0.0) -> None:
        """More was spent."""
        self.calls += calls
        self.tokens += tokens
        self.seconds += seconds


@dataclass(frozen=True, slots=True)
class TuneBudget:
    """One ceiling. Raises ConfigError where none or several are given, or one is not above 0."""

    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = {each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) is not None}
        if len(given) != 1:
            raise ConfigError("budget", given or None, "exactly one of calls, tokens and seconds")
        [(name, value)] = given.items()
        if not value > 0:
            raise ConfigError(f"budget.{name}", value, "above 0")

    @property
    def unit(self) -> str:
        """What is counted."""
        return next(each.name for each in fields(self) if getattr(self, each.name) is not None)

    @property
    def ceiling(self) -> float:
        """How much of it."""
        return float(getattr(self, self.unit))

    def left(self, spent: Spent) -> float:
        """What may still be spent."""
        return self.ceiling - self.spent(spent)

    def spent(self, spent: Spent) -> float:
        """What was, in its unit."""
        return float(getattr(spent, self.unit))

    def affords(self, spent: Spent, more: Spent) -> bool:
        """Whether so much more stays within it."""
        return float(getattr(more, self.unit)) <= self.left(spent)

    def begins(self, spent: Spent, most: Spent, dearest: Spent) -> bool:
        """Whether a step may begin that costs so much at `most`. Seconds are not known beforehand: there the `dearest`
        so far stands for it, and `patience` cuts off what takes longer."""
        return self.left(spent) > 0 and self.affords(spent, most) and self.affords(spent, dearest)

    def patience(self, spent: Spent) -> float | None:
        """Seconds after which what is under way is cut off; None where seconds are not counted."""
        return self.left(spent) if self.unit == "seconds" else None

    def check(self, step: Spent) -> None:
        """Raise ConfigError where not even one step fits."""
        if not self.affords(Spent(), step):
            need = getattr(step, self.unit)
            raise ConfigError(f"budget.{self.unit}", self.ceiling, f"at least {need:,.0f}, which one step may take")
