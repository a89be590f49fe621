"""What searches over steps share: how a step ends, what a leaf is, one depth of drawing and scoring, and the choice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from poise.core import ROOT, Ability, Pick, Request, Rule, Sampling, Score, Step
from poise.seams import Flow, Run
from poise.strategies.base import WIDEST, at_least, is_over, voted

_MARKED = (Rule.HASHES, Rule.BOXED)
_STATED = re.compile(r"\W*(?:(?:so|thus|hence|therefore)\W+)?the (?:final )?answer is\b", re.IGNORECASE)


class StepEnd(Enum):
    """What ends a step, and belongs to it: the end of the line, a blank line, or the next "Step"."""

    LINE = "line"
    PARAGRAPH = "paragraph"
    STEP = "step"

    @property
    def delimiter(self) -> str:
        """The text."""
        return {"line": "\n", "paragraph": "\n\n", "step": "\nStep "}[self.value]


class Choice(Enum):
    """How the answer is chosen among leaves: each one vote, votes weighted by score, or the best score."""

    MAJORITY = "majority"
    WEIGHTED = "weighted"
    BEST = "best"


class Found:
    """The steps of a search so far, and their scores by id."""

    def __init__(self) -> None:
        self.steps: dict[int, Step] = {}
        self.scores: dict[int, Score] = {}

    def add(self, steps: Sequence[Step], scores: Sequence[Score]) -> None:
        """Take steps with their scores."""
        self.steps |= {step.id: step for step in steps}
        self.scores |= {step.id: score for step, score in zip(steps, scores, strict=True)}

    def values(self, steps: Sequence[Step]) -> list[float]:
        """Scores of steps of one depth; where the scorer failed, the mean of the others (1/2 where it failed on all),
        so that the search goes on without it."""
        known = {s.id: self.scores[s.id].value for s in steps if s.id in self.scores and not self.scores[s.id].failure}
        middle = sum(known.values()) / len(known) if known else 0.5
        return [known.get(step.id, middle) for step in steps]


@dataclass(frozen=True, slots=True)
class Stepwise:
    """The knobs of every search over steps. A path has at most `depth` steps, each at most `step_tokens` tokens, and at
    most the request's `max_tokens` in all. A leaf is a path that the model ended, or that states its answer behind an
    explicit mark in its own text; whatever is still open in the end is closed by force, so that no compute is voteless.
    """

    width: int = 16
    step_end: StepEnd = StepEnd.LINE
    step_tokens: int = 256
    depth: int = 25
    choose: Choice = Choice.WEIGHTED
    prompt: str = "cot"

    def __post_init__(self) -> None:
        at_least("width", self.width, most=WIDEST)
        at_least("step_tokens", self.step_tokens)
        at_least("depth", self.depth)

    @property
    def needs(self) -> frozenset[Ability]:
        """A child goes on from its parent's text."""
        return frozenset({Ability.CONTINUES})

    @property
    def scored(self) -> bool:
        """Needs a scorer of prefixes."""
        return True

    def pick(self, request: Request, steps: Sequence[Step], scores: Mapping[int, Score]) -> Pick | None:
        """The choice among the leaves so far. A leaf that could not be scored counts as its parent was, else as the
        mean of the others: without any score this is a majority."""
        leaves = [step for step in steps if is_answer(step, request.sampling.stop)]
        usable = {id: score.value for id, score in scores.items() if score.failure is None}
        known = [usable[leaf.id] for leaf in leaves if leaf.id in usable]
        middle = sum(known) / len(known) if known else 0.0
        values = [usable.get(leaf.id, usable.get(leaf.parent, middle)) for leaf in leaves]
        if self.choose is not Choice.BEST or not any(values):
            return voted(request, leaves, values if self.choose is Choice.WEIGHTED and any(values) else None)
        best = max(zip(leaves, values, strict=True), key=lambda pair: (pair[0].value is not None, pair[1]))
        return Pick(best[0], best[1] if best[0].value else None, len(leaves))

    def step_sampling(self, run: Run) -> Sampling:
        """How a step is drawn."""
        sampling = run.sampling
        stop = (*sampling.stop, self.step_end.delimiter)
        return replace(sampling, max_tokens=min(self.step_tokens, sampling.max_tokens), stop=stop)

    def launch(self, run: Run, flow: Flow, parents: Sequence[Step]) -> list[int]:
        """Draw one step under each parent, as far as its path has tokens left."""
        return flow.launch_all(parents, self.step_sampling(run), path_tokens=run.sampling.max_tokens)

    def is_open(self, run: Run, step: Step) -> bool:
        """Whether a step can be gone on from: its path has not ended, and there is room for more below it."""
        stops = run.sampling.stop
        if not step.finished or is_over(step, stops) or is_answer(step, stops):
            return False
        path = run.path(step)
        return len(path) < self.depth and sum(part.draft.tokens for part in path) < run.sampling.max_tokens

    async def finish(self, run: Run, survivors: Sequence[Step], found: Found) -> None:
        """Close those survivors that are no answer yet, and score them; then what was found is all that can vote."""
        closed = await run.close([step for step in survivors if not is_answer(step, run.sampling.stop)])
        found.add(closed, await run.score(closed) if closed else [])


def is_answer(step: Step, stops: Sequence[str] = ()) -> bool:
    """Whether a step is a leaf, which votes: a path with a value that is over, was forced to answer, or whose own text
    states the answer behind an explicit mark: `####`, `\\boxed{}`, or a last line that says "The answer is", as the
    prompts ask for. The question's text is never looked at."""
    if step.value is None:
        return False
    if step.suffix or is_over(step, stops):
        return True
    return step.finished and (step.value.rule in _MARKED or _is_stated(step))


def _is_stated(step: Step) -> bool:
    *_, last = ["", *step.draft.text.strip().splitlines()]
    return step.value is not None and step.value.rule is Rule.ANSWER_IS and bool(_STATED.match(last))


async def grown(flow: Flow, found: Found) -> list[Step]:
    """The steps that come back from what was launched, in order of launch. Each is scored as soon as it is there,
    beside those that are still being drawn."""
    steps = []
    async for done in flow:
        if done.score is not None:
            found.scores[done.id] = done.score
        elif done.step and done.step.finished:
            steps.append(done.step)
            found.steps[done.id] = done.step
            flow.score(done.step)
    return sorted(steps, key=lambda step: step.id)


def rooted(width: int) -> list[Step]:
    """The parents of the first depth."""
    return [ROOT] * width
