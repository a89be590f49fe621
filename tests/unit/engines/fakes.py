"""An engine of which every call is planned."""

import asyncio

from poise.core import Ability, Delta, Finish
from poise.costs import Card, Load, Overrun
from poise.seams import Stream

WHOLE = (Delta("a", 1, prompt_tokens=3), Delta("b", 2, finish=Finish.EOS))


class Planned:
    """Call k carries out `plans[k]` (the last one for ever): deltas are yielded, errors raised, numbers slept."""

    name, card, can = "planned", Card("model"), frozenset({Ability.SEEDS})

    def __init__(self, *plans, overrun=Overrun()):
        self.plans, self.overrun = plans, overrun
        self.calls = self.closed = self.in_flight = self.most_in_flight = 0

    def stream(self, prompt, sampling, n=1):
        return Stream(self._deltas(), self._settle)

    def load(self):
        return Load(self.in_flight, 0, 7)

    async def aclose(self):
        self.plans = ()

    async def _settle(self):
        self.closed += 1
        return self.overrun

    async def _deltas(self):
        plan = self.plans[min(self.calls, len(self.plans) - 1)]
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            for act in plan:
                if isinstance(act, Exception):
                    raise act
                if isinstance(act, Delta):
                    yield act
                else:
                    await asyncio.sleep(act)
        finally:
            self.in_flight -= 1
