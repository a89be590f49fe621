"""Votes by the model's own confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, NamedTuple

from poise.core import ROOT, Ability, Delta, Draft, Pick, Request, Sampling, Score, Step
from poise.errors import ConfigError
from poise.seams import Flow, Run, Watch
from poise.search import confidence
from poise.search.confidence import Span
from poise.strategies.base import MOST_DRAWS, Plain, at_least, recording, voted


class Mode(Enum):
    """When doubtful drafts are dropped: once all are there; or while they are being drawn."""

    OFFLINE = "offline"
    ONLINE = "online"


class _Measured(NamedTuple):
    """A draft, the confidence that must reach the threshold, and its weight in the vote."""

    step: Step
    level: float
    weight: float


@dataclass(frozen=True, slots=True)
class ConfidenceVote(Plain):
    """Votes weighted by the model's confidence in its own tokens, the least confident left out (DeepConf, Fu et al.
    2025, arXiv 2508.15260). `offline`: n draws; the best `keep` of those with a value vote, by the mean over `span`.
    `online`: `warmup` draws set the threshold, the lowest-window confidence that the best `keep` of them reach (no
    interpolation); the others are drawn at once and closed as soon as a window of `window` tokens falls below it, and
    all is stopped when the leader has `bar` of the weight. The paper has keep .1 or .9, warmup 16 and window 2,048, for
    chains of tens of thousands of tokens. Approximate: DeepConf's confidence is minus the mean logprob of the 20
    likeliest tokens, here `top_logprobs=20`; 0 takes the chosen token's logprob alone, which any engine with logprobs
    has, and weighs by the geometric mean probability. Drafts without logprobs have no weight; where none has any, it is
    a plain majority. Cost: n calls, online cut short."""

    name: ClassVar[str] = "confidence_vote"
    n: int = 16
    mode: Mode = Mode.ONLINE
    keep: float = 0.9
    warmup: int = 4
    bar: float = 0.95
    span: Span = Span.LOWEST
    window: int = 32
    top_logprobs: int = 0
    prompt: str = "cot"

    def __post_init__(self) -> None:
        at_least("n", self.n, most=MOST_DRAWS)
        at_least("window", self.window)
        if self.mode is Mode.ONLINE and not 2 <= self.warmup <= self.n:
            raise ConfigError("warmup", self.warmup, f"2 to n = {self.n}")
        if not 0 < self.keep <= 1:
            raise ConfigError("keep", self.keep, "above 0, up to 1")
        if not 0.5 < self.bar <= 1:
            raise ConfigError("bar", self.bar, "above 0.5, up to 1")
        if self.top_logprobs not in (0, *range(2, 21)):
            raise ConfigError("top_logprobs", self.top_logprobs, "0, or 2 to 20: of one candidate, less is surer")

    @property
    def needs(self) -> frozenset[Ability]:
        """Confidence is read from logprobs."""
        return frozenset({Ability.LOGPROBS})

    async def solve(self, request: Request, run: Run) -> Pick | None:
        sampling = recording(run.sampling, self.top_logprobs)
        if self.mode is Mode.OFFLINE:
            return self.pick(request, await run.draw([ROOT] * self.n, sampling), {})
        drafts: list[_Measured] = []
        pick, agreed = None, False
        async with run.flow() as flow:
            launched = self._top_up(flow, sampling, drafts, 0)
            async for done in flow:
                if done.step and done.step.finished:
                    drafts.append(self._measured(done.step))
                    pick = self._voted(request, drafts)
                if len(drafts) >= self.warmup and self._settled(pick):
                    agreed = launched < self.n or flow.pending > 0
                    break
                launched = self._top_up(flow, sampling, drafts, launched)
        return replace(pick, agreed=agreed) if pick else None

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """The vote of what is finished; online, the first `warmup` to finish set the threshold."""
        return self._voted(request, [self._measured(step) for step in steps if step.finished])

    def _top_up(self, flow: Flow, sampling: Sampling, drafts: Sequence[_Measured], launched: int) -> int:
        """Launch until enough is in flight to warm up (failed draws are replaced), then all that is left; the launched
        so far."""
        if len(drafts) < self.warmup:
            wanted = min(self.warmup - len(drafts) - flow.pending, self.n - launched)
            return launched + len(flow.launch_all([ROOT] * wanted, sampling))
        bar = self._threshold(drafts)
        while launched < self.n and flow.launch(ROOT, sampling, watch=self._watch(bar)) is not None:
            launched += 1
        return launched

    def _watch(self, bar: float) -> Watch:
        """Closes a stream once a full window falls below the bar. It is asked with all deltas so far, each time one
        comes, so it reads on from where it was."""
        window, read = confidence.Sliding(self.window), 0

        def falls(deltas: Sequence[Delta]) -> bool:
            nonlocal read
            fresh, read = deltas[read:], len(deltas)
            means = (window.add(value) for delta in fresh for value in self._per_token(delta))
            return any(mean is not None and confidence.below(mean, bar) for mean in means)

        return falls

    def _measured(self, step: Step) -> _Measured:
        values = self._per_token(step.draft)
        if not values:
            return _Measured(step, -math.inf, 0.0)
        mean = confidence.windowed(values, self.span, self.window)
        level = mean if self.mode is Mode.OFFLINE else confidence.windowed(values, Span.LOWEST, self.window)
        return _Measured(step, level, mean if self.top_logprobs else confidence.probability(mean))

    def _per_token(self, said: Delta | Draft) -> list[float]:
        return confidence.per_token(said.logprobs, said.alternatives, self.top_logprobs)

    def _threshold(self, drafts: Sequence[_Measured]) -> float:
        levels = [draft.level for draft in drafts if self.mode is Mode.ONLINE or draft.step.value]
        return confidence.threshold(levels[: self.warmup] if self.mode is Mode.ONLINE else levels, self.keep)

    def _voted(self, request: Request, drafts: Sequence[_Measured]) -> Pick | None:
        bar = self._threshold(drafts)
        kept = [draft for draft in drafts if not confidence.below(draft.level, bar)]
        if not any(draft.step.value for draft in kept):
            kept = list(drafts)
        weights = [draft.weight for draft in kept]
        return voted(request, [draft.step for draft in kept], weights if any(weights) else None)

    def _settled(self, pick: Pick | None) -> bool:
        """Whether the leader has its share; one vote alone settles nothing."""
        return pick is not None and pick.votes >= 2 and (pick.confidence or 0.0) >= self.bar
