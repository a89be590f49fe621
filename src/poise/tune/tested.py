"""What was picked, on questions that nothing was learnt from or chosen by: asked once, beside the initial prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poise.seams import Engine
from poise.store.run_dir import ENVIRONMENT
from poise.tune.archive import Measured
from poise.tune.gain import Gain, gain
from poise.tune.optimizer import Progress, TuneDir, TuneSettings, judged
from poise.tune.problem import Problem


@dataclass(frozen=True, slots=True)
class Tested:
    """The prompt to begin with and the one that was picked, on the questions of the test."""

    before: Measured
    after: Measured
    gained: Gain

    def told(self) -> str:
        """In a line."""
        shares = f"{100 * self.before.accuracy:.1f} to {100 * self.after.accuracy:.1f} %"
        sizes = f"{self.before.cost:.0f} to {self.after.cost:.0f} tokens"
        return f"{self.gained.told()}, {shares}, {sizes}, n = {len(self.after.right)}, p = {self.gained.p:.2g}"


async def on_test(
    engine: Engine,
    problem: Problem,
    settings: TuneSettings,
    store: TuneDir,
    picked: str,
    watch: Callable[[Progress], None],
) -> Tested | None:
    """None where the prompt stayed as it was, or there are no questions to test by. `store`: of the search, which has
    ended. Raises StoreError as runs do. Cost: two draws for each question, unless they were drawn before."""
    initial = settings.beginning
    if picked == initial or not problem.test:
        return None
    found = []
    with store.claimed(store.read(store.settings_file) or {}, store.read(ENVIRONMENT) or {}):
        for number, text in enumerate((initial, picked)):
            watch(Progress(0, text, 1.0, 1.0, judged=number, finalists=2, testing=True))
            found.append(await judged(engine, problem, settings, store, text, test=True))
    before, after = found
    return Tested(before, after, gain(before, [after], [item.cluster for item in problem.test]))
