"""Early exit from reasoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from poise import answers, prompts
from poise.core import ROOT, Ability, Finish, Pick, Request, Sampling, Score, Step
from poise.errors import ConfigError
from poise.seams import Flow, Run
from poise.search import confidence, stop
from poise.strategies.base import Plain, at_least, recording
from poise.strategies.forced import concludes, conclusion, is_forced


class ExitRule(Enum):
    """When reasoning may stop: the last k probes agree; or the last one was sure of its tokens."""

    AGREEMENT = "agreement"
    CONFIDENCE = "confidence"


@dataclass(frozen=True, slots=True)
class EarlyExit(Plain):
    """One path, probed for its answer every `every` tokens: the closing suffix and a few greedy tokens, drawn while the
    reasoning goes on. It stops when the last `k` probes agree (`agreement`: Dynasor, Fu et al. 2024, arXiv 2412.20993),
    or when the geometric mean probability of a probe's tokens reaches `sure` (`confidence`: DEER, Yang et al. 2025,
    arXiv 2504.15895, which probes at words like "Wait" and not by count; needs logprobs); the last probe is then the
    answer. A path that ends by itself answers for itself; at `max_tokens` the last probe does. All probes are billed.
    Cost: up to 2 calls every `every` tokens, half of them of `probe_tokens`; each reads the path anew where the engine
    does not share prefixes."""

    name: ClassVar[str] = "early_exit"
    every: int = 32
    rule: ExitRule = ExitRule.AGREEMENT
    k: int = 3
    sure: float = 0.95
    probe_tokens: int = 16
    prompt: str = "cot"

    def __post_init__(self) -> None:
        for knob in ("every", "k", "probe_tokens"):
            at_least(knob, getattr(self, knob))
        if not 0 < self.sure <= 1:
            raise ConfigError("sure", self.sure, "above 0, up to 1")

    @property
    def needs(self) -> frozenset[Ability]:
        """Reasoning and probes go on from what is there; the second rule reads logprobs."""
        read = {Ability.LOGPROBS} if self.rule is ExitRule.CONFIDENCE else frozenset()
        return frozenset({Ability.CONTINUES, *read})

    async def solve(self, request: Request, run: Run) -> Pick | None:
        found: list[Step] = []
        asked: set[int] = set()  # probes in flight
        agreed = False
        async with run.flow() as flow:
            flow.launch(ROOT, self._cut(run, ROOT))
            async for done in flow:
                asked.discard(done.id)
                if not done.step or not done.step.finished:
                    continue
                found.append(done.step)
                if is_forced(request, done.step):
                    if self._fires(request, [step for step in found if step.id < min(asked, default=step.id + 1)]):
                        agreed = flow.pending > 0
                        break
                elif concludes(request, done.step) and done.step.value:
                    break
                else:
                    asked |= self._go_on(request, run, flow, done.step)
        pick = self.pick(request, found, {})
        return replace(pick, agreed=agreed) if pick else None

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """The end of the path, else the last probe; none while there is only reasoning. Confidence: the share of the
        last k probes that agree with it, or its own probability."""
        last = conclusion(request, steps)
        return Pick(last, self._confidence(request, last, _probes(request, steps))) if last else None

    def _go_on(self, request: Request, run: Run, flow: Flow, step: Step) -> set[int]:
        """Probe the path so far (first, so that a tight budget buys an answer), and draw on where it was cut; the id of
        the probe."""
        sampling = replace(run.sampling, max_tokens=self.probe_tokens, temperature=0.0, stop=("\n",))
        if self.rule is ExitRule.CONFIDENCE:
            sampling = recording(sampling, 0)
        probe = flow.launch(step, sampling, suffix=prompts.closing(request))
        cut = self._cut(run, step)
        if cut and step.draft.finish is Finish.LENGTH and step.draft.tokens:
            flow.launch(step, cut)
        return set() if probe is None else {probe}

    def _cut(self, run: Run, parent: Step) -> Sampling | None:
        """How the next piece of reasoning is drawn; None where the path has no tokens left."""
        left = run.sampling.max_tokens - sum(step.draft.tokens for step in run.path(parent))
        return replace(run.sampling, max_tokens=min(self.every, left)) if left > 0 else None

    def _fires(self, request: Request, steps: Sequence[Step]) -> bool:
        probes = _probes(request, steps)
        if self.rule is ExitRule.AGREEMENT:
            return stop.streak(answers.classes([probe.value for probe in probes], request.kind), self.k)
        return bool(probes) and probes[-1].value is not None and (_certainty(probes[-1]) or 0.0) >= self.sure

    def _confidence(self, request: Request, last: Step, probes: Sequence[Step]) -> float | None:
        if last.value is None:
            return None
        if self.rule is ExitRule.CONFIDENCE:
            return _certainty(last) if is_forced(request, last) else None
        values = [last.value, *(probe.value for probe in probes[-self.k :])]
        agree = answers.classes(values, request.kind).count(0) - 1
        return agree / self.k if probes else None


def _probes(request: Request, steps: Sequence[Step]) -> list[Step]:
    """The probes, along the path."""
    return sorted((step for step in steps if is_forced(request, step)), key=lambda step: step.id)


def _certainty(step: Step) -> float | None:
    """The geometric mean probability of the drawn tokens, where the engine said it."""
    logprobs = confidence.per_token(step.draft.logprobs)
    return confidence.probability(sum(logprobs) / len(logprobs)) if logprobs else None
