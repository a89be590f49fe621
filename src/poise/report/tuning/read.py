"""The directory of an optimisation as a report needs it, finished or not. Reading changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from poise.errors import DataError
from poise.evals.rows import Interval
from poise.evals.stats import resample
from poise.records import Json
from poise.report.words import clean
from poise.store.run_dir import ENVIRONMENT
from poise.tune.archive import Measured, archived
from poise.tune.budget import Spent
from poise.tune.optimizer import CUT, DEV, RESULT, STEPS, TuneDir
from poise.tune.pick import Pick
from poise.tune.race import Standing
from poise.tune.shortlist import Kind, Source

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tried:
    """An edit that was raced, the prompt that it makes, and how that stood against the incumbent in the end; its new
    `tokens` a row, and the incumbent's `against` them (0, where that was not recorded)."""

    prompt: str
    kind: Kind
    source: Source
    slope: float | None
    standing: Standing
    tokens: float = 0.0
    against: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """A step: the prompt `before` it and after, the token `place` and all `tokens` of the prompt before (none, where
    that was not recorded), and how many of its `rows` of the race that prompt got `right`. `spent`: with all before."""

    number: int
    before: str
    prompt: str
    place: int | None
    tokens: tuple[str, ...]
    tried: tuple[Tried, ...]
    right: int
    rows: int
    failed: int
    spent: Spent

    @property
    def accepted(self) -> Tried | None:
        """The edit that won, if one did."""
        return next((each for each in self.edits if each.prompt == self.prompt), None)

    @property
    def edits(self) -> tuple[Tried, ...]:
        """What was tried, but for the prompt as it was, which some ways of stepping try again."""
        return tuple(each for each in self.tried if each.prompt != self.before)


@dataclass(frozen=True, slots=True)
class OnTest:
    """What a test found: of `n` questions the share that was right before and after, the gain, and its `p`."""

    n: int
    before: float
    after: float
    gain: Interval
    p: float


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of it, as of so many `steps`. `gain`: of the most accurate finalist, shown or not, with `p` (None: not
    recorded). `picked`: what the prompt file has, by the rule `pick` (None: not recorded, so it is the best). `test`:
    of that and the prompt to begin with, on questions that nothing was chosen by, if there was a test."""

    best: str
    shown: bool
    gain: Interval
    steps: int
    picked: str
    pick: Pick | None = None
    p: float | None = None
    test: OnTest | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A prompt on the rows that judge. `gain`: its accuracy above the initial prompt's (95 %, paired bootstrap), None
    for that one itself; `kept`: whether no other surely beats it."""

    measured: Measured
    name: str
    tokens: Interval
    gain: Interval | None
    kept: bool


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the directory of an optimisation holds. `settings` and `environment`: its tune.json and environment.json;
    `cut`: seconds of each step that was dropped when the budget of seconds ran out."""

    path: Path
    initial: str
    steps: tuple[Step, ...]
    measured: tuple[Measured, ...]
    ended: Ended | None
    settings: Json
    environment: Json
    cut: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        """What this run is."""
        n = len(self.steps)
        return f"{clean(str(self.settings.get('task', '')))}: a prompt tuned in {n:,} step{'s' if n != 1 else ''}"

    @property
    def about(self) -> tuple[str, ...]:
        """What was run, in a few words."""
        learn, judge = (len(self.settings.get(name, ())) for name in ("learn", "judge"))
        told = [f"{learn:,} questions to learn from, {judge:,} that judge", clean(str(self.settings.get("model", "")))]
        by = self.settings.get("step", {}).get("by")
        told += [f"edits chosen: {by}"] * bool(by) + [f"seed {self.settings.get('seed')}"]
        return tuple(told)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is missing or failed, in sentences."""
        failed, notes = sum(step.failed for step in self.steps), []
        if self.ended is None:
            told = f"{len(self.steps):,} steps are taken, {len(self.measured):,} prompts judged"
            notes.append(f"Unfinished: there is no result yet ({told}). The same command goes on from here.")
        elif self.ended.steps < len(self.steps):
            more = len(self.steps) - self.ended.steps
            notes.append(f"Unfinished: the result is of the first {self.ended.steps:,} steps; {more:,} came after.")
        if self.cut:
            told = f"{len(self.cut):,} ({sum(self.cut):,.0f} s)"
            notes.append(f"Steps dropped because the seconds of the budget ran out meanwhile: {told}.")
        if failed:
            notes.append(f"{failed:,} answers of the races failed; they count as wrong.")
        return tuple(notes)

    @property
    def current(self) -> str:
        """The prompt after the last step."""
        return self.steps[-1].prompt if self.steps else self.initial

    @property
    def spent(self) -> Spent:
        """By all steps."""
        return self.steps[-1].spent if self.steps else Spent()

    @property
    def accepted(self) -> list[Step]:
        """Steps after which the prompt was another."""
        return [step for step in self.steps if step.prompt != step.before]

    def name(self, prompt: str) -> str:
        """A prompt by the last step that made it, or else tried it."""
        if prompt == self.initial:
            return "initial"
        made = [step.number for step in self.accepted if step.prompt == prompt]
        made = made or [step.number for step in self.steps if any(each.prompt == prompt for each in step.tried)]
        return f"step {made[-1]}" if made else "a prompt"

    def judged(self) -> list[Judged]:
        """The prompts that were judged, by rising cost. Cost: a bootstrap or two for each pair."""
        found = []
        kept = {placed.measured.name for placed in archived(self.measured).front()}
        first = next((one for one in self.measured if one.name == self.initial), None)
        for one in sorted(self.measured, key=lambda each: (each.cost, -each.accuracy)):
            other = first if first is not None else one
            columns = np.array([one.right, other.right, one.tokens, [1] * len(one.right)], float).T
            drawn = resample(columns, range(len(columns)))
            gain = drawn.difference(0, 1, 3) if first is not None and one is not first else None
            found.append(Judged(one, self.name(one.name), drawn.ratio(2, 3), gain, one.name in kept))
        return found


def is_tuning(path: str | os.PathLike[str]) -> bool:
    """Whether a directory is that of an optimisation."""
    return (Path(path) / TuneDir.settings_file).exists()


def read_tuning(path: str | os.PathLike[str]) -> Tuning:
    """Read the directory of an optimisation. Raises DataError when it is none, has no step yet, or is broken."""
    store = TuneDir(path)
    settings = store.read(TuneDir.settings_file)
    if settings is None or not isinstance(settings.get("initial"), str):
        got = f"no {TuneDir.settings_file}" if settings is None else "no initial prompt"
        raise DataError(str(store.path), 0, got, "the directory of an optimisation")
    initial: str = settings["initial"]
    steps: list[Step] = []
    for number, line in enumerate(store.lines(STEPS), 1):
        if number == 1:
            initial = _made(partial(_asked, initial), line, (store.path / STEPS, number))
        before, spent = (steps[-1].prompt, steps[-1].spent) if steps else (initial, Spent())
        steps.append(_made(partial(_step, before, spent), line, (store.path / STEPS, number)))
    cut = tuple(_every(store, CUT, lambda line: float(line["spent"]["seconds"])))
    if not steps:
        got = "no steps: the seconds of the budget ran out in the first" if cut else "no steps"
        raise DataError(str(store.path / STEPS), 0, got, "at least one")
    measured = _every(store, DEV, _measured)
    _same_rows(measured, store.path / DEV)
    result = store.read(RESULT)
    ended = None if result is None else _made(_ended, result, (store.path / RESULT, 0))
    environment = store.read(ENVIRONMENT) or {}
    return Tuning(store.path, initial, tuple(steps), tuple(measured), ended, settings, environment, cut)


def _made(make: Callable[[Json], T], data: Json, at: tuple[Path, int]) -> T:
    """What a line says. Raises DataError for a broken one."""
    try:
        return make(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(str(at[0]), at[1], str(error), "what poise tune writes") from error


def _every(store: TuneDir, name: str, make: Callable[[Json], T]) -> list[T]:
    return [_made(make, line, (store.path / name, number)) for number, line in enumerate(store.lines(name), 1)]


def _asked(initial: str, data: Json) -> str:
    """The initial prompt as the first step asked it, its slots filled."""
    return _text(data["prompt"]) if data.get("accepted") is None else "".join(data.get("tokens", ())) or initial


def _step(before: str, spent: Spent, data: Json) -> Step:
    cost = Spent(**data["spent"])
    total = Spent(spent.calls + cost.calls, spent.tokens + cost.tokens, spent.seconds + cost.seconds)
    return Step(
        int(data["step"]),
        before,
        _text(data["prompt"]),
        data.get("place"),
        tuple(map(_text, data.get("tokens", ()))),
        tuple(map(_tried, data["tried"])),
        int(data.get("right", 0)),
        int(data.get("rows", 0)),
        int(data["failed"]),
        total,
    )


def _tried(data: Json) -> Tried:
    slope = None if data["slope"] is None else float(data["slope"])
    standing = Standing(int(data["wins"]), int(data["losses"]), int(data["rows"]))
    return Tried(
        _text(data["prompt"]),
        Kind(data["kind"]),
        Source(data["source"]),
        slope,
        standing,
        float(data.get("tokens", 0.0)),
        float(data.get("incumbent_tokens", 0.0)),
    )


def _measured(data: Json) -> Measured:
    right, tokens = tuple(map(bool, data["right"])), tuple(map(int, data["tokens"]))
    seconds = tuple(map(float, data["seconds"]))
    if not len(right) == len(tokens) == len(seconds) > 0:
        raise ValueError(f"{len(right)} outcomes, {len(tokens)} tokens, {len(seconds)} seconds")
    return Measured(_text(data["prompt"]), right, tokens, seconds)


def _same_rows(measured: Sequence[Measured], path: Path) -> None:
    """Raise DataError unless all were judged on as many rows."""
    for number, one in enumerate(measured, 1):
        if len(one.right) != len(measured[0].right):
            raise DataError(str(path), number, len(one.right), f"{len(measured[0].right)} rows, as the others have")


def _ended(data: Json) -> Ended:
    best, picked, p = _text(data["best"]), data.get("picked"), data.get("p")
    told = (_text(picked["prompt"]), Pick.read(_text(picked["rule"]))) if picked else (best, None)
    test = _on_test(data["test"]) if "test" in data else None
    known = None if p is None else float(p)
    return Ended(best, bool(data["shown"]), _interval(data), int(data["steps"]), told[0], told[1], known, test)


def _on_test(data: Json) -> OnTest:
    return OnTest(int(data["n"]), float(data["before"]), float(data["after"]), _interval(data), float(data["p"]))


def _interval(data: Json) -> Interval:
    mean, low, high = map(float, data["gain"])
    return Interval(mean, low, high)


def _text(data: object) -> str:
    if not isinstance(data, str):
        raise TypeError(f"{data!r} is no text")
    return data
