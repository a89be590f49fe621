"""A strategy of your own: a frozen dataclass. It has no client, clock or counter; `run` meters and records all."""

from dataclasses import dataclass, replace
from typing import ClassVar

from poise import Plan, Request
from poise.core import ROOT, Kind
from poise.engines.scripted import Scripted
from poise.run import solve
from poise.strategies.base import Plain, voted
from poise.testing import check_strategy, virtual


@dataclass(frozen=True, slots=True)
class HotAndCold(Plain):
    """Half of the drafts at a high temperature, half at a low one; majority of all. Cost: 2 n calls."""

    name: ClassVar[str] = "hot_and_cold"
    n: int = 3
    prompt: str = "cot"

    async def solve(self, request, run):
        hot = await run.draw([ROOT] * self.n, replace(run.sampling, temperature=1.2))
        cold = await run.draw([ROOT] * self.n, replace(run.sampling, temperature=0.2))
        return self.pick(request, hot + cold, {})

    def pick(self, request, steps, scores):
        return voted(request, steps)


check_strategy(HotAndCold())  # the laws: same seed same trace, no ceiling passed, deadline kept, every token billed

engine = Scripted()  # a model whose law is known: right in 60 % of draws
question = Request.ask("What is 17 + 25?", Kind.NUMBER)
answer = virtual(solve(question, Plan(HotAndCold(), (("main", engine.name),)), {engine.name: engine}, seed=1))
print(answer.value.text, answer.confidence, answer.usage.calls)
