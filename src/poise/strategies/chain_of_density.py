"""Chain of Density."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from poise import answers
from poise.core import ROOT, Kind, Pick, Request, Rule, Score, Step, Value
from poise.errors import ConfigError
from poise.seams import Run
from poise.search import density
from poise.strategies.base import Plain, at_least
from poise.strategies.direct import Direct

_MARKED = (Rule.HASHES, Rule.BOXED, Rule.ANSWER_IS)


class Over(Enum):
    """What is made denser: whole answers, or the reasoning before short ones; or whichever suits the kind of answer,
    answers where it is free text and reasoning where it is not."""

    KIND = "kind"
    ANSWER = "answer"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class Rewrite(Direct):
    """One draw that takes up what was said before, `draft`, in a further turn. `words`: how long it is to be. Cost: 1
    call, and 1 score where it is `measured`."""

    name: ClassVar[str] = "rewrite"
    prompt: str = "chain_of_density_round"
    draft: str = ""
    words: int = 80
    measured: bool = False
    greedy: bool = False

    @property
    def scored(self) -> bool:
        """Needs a scorer where it is measured."""
        return self.measured

    async def solve(self, request: Request, run: Run) -> Pick | None:
        sampling = replace(run.sampling, temperature=0.0) if self.greedy else run.sampling
        steps = await run.draw([ROOT], sampling)
        if steps and self.measured:
            await run.score(steps)
        return self.pick(request, steps, {})


@dataclass(frozen=True, slots=True)
class ChainOfDensity(Plain):
    """Versions of one text, each rewritten from the last at the same length with more entities in it (Chain of Density,
    Adams et al. 2023, arXiv 2309.04269): `rounds` at most, the wordy first of about `words` words included. A version
    counts if it is whole, denser than the last (by a proxy, see `poise.search.density`) and, give or take `slack`, as
    long as the first. One that does not count ends the rounds, and so does a density of `stop_density`: 0.15 is about
    what people preferred. Nothing here checks what is added, so use it over a text in the question, or over what the
    model knows well. `measured`: the plan's scorer (`density`) scores each version, for the record.

    Over reasoning (`over=trace`; by itself for numbers, choices and expressions; for short texts with `prompt=cot`) a
    version may be shorter, must keep the value, and rounds go on as long as density rises. Then the answer is read off
    the densest, its own being withheld; where another comes out, the original stands. So the value is never another
    than that of plain reasoning: it buys reasoning that is short to read, to store and to teach. Cost: up to `rounds`
    calls, each waiting for the last, and 1 more over reasoning; each reads the question and one version."""

    name: ClassVar[str] = "chain_of_density"
    rounds: int = 5
    words: int = 80
    stop_density: float = 0.15
    slack: float = 0.25
    over: Over = Over.KIND
    measured: bool = False
    prompt: str = "chain_of_density"

    def __post_init__(self) -> None:
        at_least("rounds", self.rounds, most=100)
        at_least("words", self.words)
        if not 0 < self.stop_density <= 1:
            raise ConfigError("stop_density", self.stop_density, "above 0, up to 1")
        if not 0 <= self.slack <= 1:
            raise ConfigError("slack", self.slack, "0 to 1")

    @property
    def scored(self) -> bool:
        """Needs a scorer where it is measured."""
        return self.measured

    async def solve(self, request: Request, run: Run) -> Pick | None:
        versions = await run.draw([ROOT])
        if versions and self.measured:
            await run.score(versions)
        left = self.rounds - 1
        while versions and left and not self._dense(request, versions[-1]):
            before, left = versions, left - 1
            for step in await self._rewritten(request, run, versions):
                versions = self._joined(request, versions, step)
            if versions == before:
                break
        if len(versions) > 1 and self._reasons(request):
            return await self._read_off(request, run, versions)
        return Pick(versions[-1]) if versions else None

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """The last version that counts; over reasoning the original, which stands until another has been read."""
        versions: list[Step] = []
        for step in sorted((step for step in steps if step.finished), key=lambda step: step.id):
            versions = self._joined(request, versions, step)
        return Pick(versions[0 if self._reasons(request) else -1]) if versions else None

    def _joined(self, request: Request, versions: list[Step], step: Step) -> list[Step]:
        """The versions with one more, if it counts. What was cut is no version once there is a whole one."""
        if not versions or (step.value and not versions[-1].value):
            return [step]
        return [*versions, step] if self._counts(request, versions, step) else versions

    def _counts(self, request: Request, versions: Sequence[Step], step: Step) -> bool:
        """Whether a draft is the next version."""
        prose = request.kind is Kind.TEXT and not self._reasons(request)
        if not (step.value if prose else _same(step, versions[0], request.kind)):
            return False
        length, wanted = density.words(step.text), density.words(versions[0].text)
        least = 0.0 if self._reasons(request) else (1 - self.slack) * wanted
        fits = least <= length <= (1 + self.slack) * wanted
        return fits and density.density(step.text) > density.density(versions[-1].text)

    def _reasons(self, request: Request) -> bool:
        """Whether reasoning is made denser, not answers."""
        return self.over is Over.TRACE or (self.over is Over.KIND and request.kind is not Kind.TEXT)

    def _dense(self, request: Request, version: Step) -> bool:
        """Whether an answer is as dense as wanted. Sums are denser than prose from the start, so reasoning never is."""
        whole = version.value is not None and not self._reasons(request)
        return whole and density.density(version.text) >= self.stop_density

    async def _rewritten(self, request: Request, run: Run, versions: Sequence[Step]) -> list[Step]:
        """The last version written anew; nothing where it says nothing, or no draw came back."""
        if not versions[-1].text.strip():
            return []
        prompt = "chain_of_density_trace" if self._reasons(request) else "chain_of_density_round"
        words = max(density.words(versions[0].text), 1)
        pick = await run.fork(Rewrite(prompt, versions[-1].text, words, self.measured))
        return [pick.step] if pick else []

    async def _read_off(self, request: Request, run: Run, versions: Sequence[Step]) -> Pick:
        """The densest reasoning, where the answer read off it is still that of the original; else the original."""
        original, densest = versions[0], versions[-1]
        if bare := reasoning(densest.text, request.kind):
            read = await run.fork(Rewrite("chain_of_density_answer", bare, greedy=True))
            if read and _same(read.step, original, request.kind):
                return Pick(densest, votes=2)
        return Pick(original)


def _same(one: Step, other: Step, kind: Kind) -> bool:
    """Whether both have a value, and it is the same."""
    return bool(one.value and other.value and answers.same(one.value.text, other.value.text, kind))


def reasoning(text: str, kind: Kind) -> str:
    """A text without the lines that state its answer; all of it where no marker says which is the answer."""
    stated = answers.extract(text, kind)
    lines = [line for line in text.split("\n") if not _states(line, stated, kind)]
    while lines and _states("\n".join(lines), stated, kind):  # a marker on one line, its value on the next
        lines.pop()
    return "\n".join(lines).strip()


def _states(text: str, stated: Value | None, kind: Kind) -> bool:
    found = answers.extract(text, kind)
    return bool(stated and found and found.rule in _MARKED and stated.rule in _MARKED and found.text == stated.text)
