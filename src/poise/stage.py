"""What all forks of one run share: the trace, the clock, ids, seeds, finished steps, and the draws in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from poise import answers
from poise.core import ROOT, Finish, Path, Prompt, Request, Score, Step, Stopped
from poise.draws import derived_seed
from poise.errors import RunError
from poise.seams import Engine, Plan, Scorer
from poise.trace import Event, Trace


class Stage:
    """The state of one `solve`. Time is the event loop's, so a virtual-time loop makes every timing law exact."""

    def __init__(
        self, request: Request, plan: Plan, engines: Mapping[str, Engine], scorer: Scorer | None, trace: Trace
    ) -> None:
        self.request, self.plan, self.engines, self.scorer, self.trace = request, plan, engines, scorer, trace
        self._loop = asyncio.get_running_loop()
        self.opened = self._loop.time()
        self.steps: dict[int, Step] = {0: ROOT}
        self.scores: dict[int, Score] = {}
        self.seeds: dict[int, int] = {}
        self.halted: Stopped | None = None
        self.refused = False
        self.last_error: RunError | None = None
        self.prompts: dict[int, Prompt] = {}
        self.prompt_tokens: dict[tuple[str, Prompt], int] = {}
        self._children: dict[int, int] = {}
        self._ids = 0
        self._on_halt: dict[int, Callable[[], object]] = {}

    def now(self) -> float:
        """Seconds since the run opened."""
        return self._loop.time() - self.opened

    def record(self, event: Event) -> None:
        """Append to the trace."""
        self.trace.append(event)

    def new_id(self) -> int:
        """The next draw id, from 1."""
        self._ids += 1
        return self._ids

    def child_seed(self, parent: int, id: int) -> int:
        """The seed of the next child of `parent`: it depends on the place in the tree alone, never on timing."""
        index = self._children.get(parent, 0)
        self._children[parent] = index + 1
        self.seeds[id] = derived_seed(self.seeds[parent], index)
        return self.seeds[id]

    def path(self, step: Step) -> Path:
        """The steps from the root's first child down to `step`."""
        if step.parent == 0:
            return (step,)
        path = []
        while step.id > 0:
            path.append(step)
            step = self.steps[step.parent]
        return tuple(reversed(path))

    def text(self, step: Step) -> str:
        """The whole text of the path to `step`."""
        return step.text if step.parent <= 0 else "".join(part.text for part in self.path(step))

    def place(self, step: Step) -> Step:
        """Read the value out of the step's path and put it in the tree."""
        cut = step.draft.finish in (Finish.LENGTH, Finish.CLOSED)
        value = answers.extract(self.text(step), self.request.kind, truncated=cut)
        placed = Step(step.id, step.parent, step.draft, value, step.suffix, step.role)
        self.steps[placed.id] = placed
        return placed

    def finished(self) -> list[Step]:
        """Steps that ended by themselves, in order of completion."""
        return [step for step in self.steps.values() if step.id and step.finished]

    def on_halt(self, key: int, close: Callable[[], object]) -> None:
        """Register what closes a draw in flight; `forget` when it ends."""
        self._on_halt[key] = close

    def forget(self, key: int) -> None:
        """The draw ended."""
        self._on_halt.pop(key, None)

    def halt(self, reason: Stopped) -> None:
        """Close every draw in flight and refuse further launches, so that strategies return by their own rule."""
        if self.halted is None:
            self.halted = reason
            for close in list(self._on_halt.values()):
                close()
