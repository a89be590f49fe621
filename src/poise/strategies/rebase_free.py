"""REBASE without barriers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from poise.core import ROOT, Pick, Request, Step
from poise.seams import Run
from poise.search.allocate import Rations
from poise.strategies.rebase import Rebase
from poise.strategies.stepwise import Found, rooted


@dataclass(frozen=True, slots=True)
class RebaseFree(Rebase):
    """REBASE (arXiv 2408.00724) that waits for nobody: a step gets its children as soon as its own score is in, its
    share reckoned as if the steps still out scored like those that came before it. Not REBASE: a depth's softmax is
    over what is known by then, and where steps still out turn out to be leaves, a depth may have more children than
    REBASE would buy (never more than `width`). In return the span is that of the slowest path, not the sum of the
    slowest steps. `share` is always balanced. Cost: as REBASE."""

    name: ClassVar[str] = "rebase_free"

    async def solve(self, request: Request, run: Run) -> Pick | None:
        found, survivors = Found(), list[Step]()
        rations, places, alive = Rations(self.width, self.balance), dict[int, tuple[int, Step]](), dict[int, int]()
        async with run.flow() as flow:
            places |= dict.fromkeys(self.launch(run, flow, rooted(self.width)), (0, ROOT))
            async for done in flow:
                if done.score is None and done.step and done.step.finished:
                    found.steps[done.id] = done.step
                    flow.score(done.step)
                    continue
                if done.score is not None:
                    found.scores[done.id] = done.score
                step, (depth, parent) = done.step, places[done.id]
                if step is None or not self.is_open(run, step):
                    rations.leave(depth)
                    lost = step is None or not step.finished
                    alive[parent.id] = alive.get(parent.id, 0) - lost
                    if lost and parent.id and not alive[parent.id]:  # all its draws failed
                        survivors.append(parent)
                    elif step and not lost:
                        survivors.append(step)
                elif share := rations.take(depth, found.values([step])[0]):
                    ids = self.launch(run, flow, [step] * share)
                    places |= dict.fromkeys(ids, (depth + 1, step))
                    alive[step.id] = len(ids)
                    rations.leave(depth + 1, share - len(ids))
                    survivors += [] if ids else [step]
        await self.finish(run, survivors, found)
        return self.pick(request, list(found.steps.values()), found.scores)
