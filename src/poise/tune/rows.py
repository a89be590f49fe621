"""What a gradient is taken of: one question as token ids, and the terms of the loss. Plain data, without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from poise.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Row:
    """One question as token ids: what stands `before` the prompt, what stands `behind` it (the rest of the turn, the
    reasoning that was generated, and the text that asks for the answer), and the `answer`. `stop`: the length of
    `behind` at which the reasoning could have ended, and the tokens any of which would have ended it; None: nowhere."""

    before: tuple[int, ...]
    behind: tuple[int, ...]
    answer: tuple[int, ...]
    stop: tuple[int, tuple[int, ...]] | None = None

    @property
    def tokens(self) -> int:
        """Without the prompt's."""
        return len(self.before) + len(self.behind) + len(self.answer)

    def __post_init__(self) -> None:
        if not (self.before and self.answer):
            raise ConfigError("row", (len(self.before), len(self.answer)), "tokens before the prompt, and an answer")
        if self.stop is not None and not 0 <= self.stop[0] <= len(self.behind):
            raise ConfigError("row.stop", self.stop[0], f"0 to {len(self.behind)}, the tokens behind the prompt")


@dataclass(frozen=True, slots=True)
class LossTerms:
    """`temperature`: of the logits of the answer (.2 in the released code); `prompt_weight`: of the mean NLL of the
    prompt's own tokens (.2 there); `stop_weight`: of the NLL of stopping where the reasoning could have ended, which
    makes prompts shorter (0: not told). Raises ConfigError."""

    temperature: float = 0.2
    prompt_weight: float = 0.2
    stop_weight: float = 0.0

    @classmethod
    def shorter(cls) -> LossTerms:
        """Where length is an objective: stopping early weighs what the prompt's own tokens do."""
        return cls(stop_weight=0.2)

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError("temperature", self.temperature, "above 0")
        for knob in ("prompt_weight", "stop_weight"):
            if not getattr(self, knob) >= 0:
                raise ConfigError(knob, getattr(self, knob), "0 or more")
