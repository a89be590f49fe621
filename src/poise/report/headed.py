"""What stands at the top of every page and picture."""

from __future__ import annotations

from typing import Protocol


class Headed(Protocol):
    """A run that says what it is about."""

    @property
    def title(self) -> str:
        """What this run is."""

    @property
    def about(self) -> tuple[str, ...]:
        """What was run, in a few words."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing or failed, in sentences."""
