"""Doing the work: headroom, searches, and answers to DEV and TEST, each kept as soon as it is there.

experiments.json   the sizes; a folder cannot go on under others, but for a larger budget
headroom.jsonl     what there is to gain, a line a model and task
sets.jsonl         clusters and kinds of the questions of each set, a line each
asked.jsonl        answers to a whole set under one prompt, a line each; nothing is asked twice
could_not.jsonl    searches that could not run, and why
searches/NAME/     a run of `poise.tune.Optimizer`; ceiling.json: the budget that it came to its end with
draws/MODEL/       every draw: searches of a seed begin with the same prompt on the same dice, which is drawn once and
                   counted as often as it is asked for
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar

from sets import Sets, chance, sets_of
from ways import MODELS, WAYS, Ask, Search, Sizes, Subject

from poise.api import engine_named
from poise.core import Prompt, Sampling
from poise.engines.cache import cached
from poise.engines.wrapper import Wrapper
from poise.errors import ConfigError
from poise.evals.tasks import Task, load_task
from poise.records import Json
from poise.seams import Engine, Stream
from poise.store.run_dir import RunDir
from poise.tune.budget import TuneBudget
from poise.tune.facade import Optimizer
from poise.tune.generate import generated
from poise.tune.headroom import Headroom, Room
from poise.tune.optimizer import RESULT, Progress
from poise.tune.placing import messages

HEADROOM, SETS, ASKED, COULD_NOT = "headroom.jsonl", "sets.jsonl", "asked.jsonl", "could_not.jsonl"
SEARCHES, DRAWS, CEILING, DEV, TEST = "searches", "draws", "ceiling.json", "dev", "test"
TEST_DICE = 900  # of the answers to TEST; one more for each draw


class ExperimentDir(RunDir):
    """The folder of all of it."""

    settings_file: ClassVar[str] = "experiments.json"
    line_files: ClassVar[tuple[str, ...]] = (HEADROOM, SETS, ASKED, COULD_NOT)


def say(line: str) -> None:
    """How far it is."""
    print(line, file=sys.stderr, flush=True)


def is_done(folder: Path, search: Search, tokens: int) -> bool:
    """Whether a search came to its end with so large a budget."""
    kept = folder / SEARCHES / search.name
    ceiling, result = kept / CEILING, kept / RESULT
    return ceiling.exists() and result.exists() and json.loads(ceiling.read_text())["tokens"] >= tokens


def kept_sizes(folder: Path, given: Sizes) -> Sizes:
    """Those of a folder that was begun, with the largest budget that a search there came to its end with; else those
    given."""
    told = ExperimentDir(folder).read(ExperimentDir.settings_file)
    if told is None:
        return given
    ceilings = [json.loads(path.read_text())["tokens"] for path in folder.glob(f"{SEARCHES}/*/{CEILING}")]
    fields = {name: value for name, value in told.items() if name != "version"}
    fields |= {"seeds": tuple(told["seeds"]), "tokens": max(ceilings, default=given.tokens)}
    return replace(given, **fields)


class _Fresh(Wrapper):
    """What an engine drew by itself before it remembered."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._stream = engine.stream

    def stream(self, prompt: Prompt, sampling: Sampling, n: int = 1) -> Stream:
        return self._stream(prompt, sampling, n)


def remembering(engine: Engine, folder: Path) -> Engine:
    """`engine` itself, whose weights the optimiser needs, replaying from `folder` what it drew there before."""
    setattr(engine, "stream", cached(_Fresh(engine), folder).stream)  # noqa: B010 - a method, on the instance
    return engine


class Work:
    """A claimed folder, the tasks by name, and one model at a time."""

    def __init__(
        self,
        store: ExperimentDir,
        sizes: Sizes,
        subjects: dict[str, Subject],
        opening: Callable[[str], Engine] = engine_named,
    ) -> None:
        self._store, self.sizes, self._subjects, self._opening = store, sizes, subjects, opening
        self._tasks: dict[str, Task] = {}
        self._sets: dict[tuple[str, int], Sets] = {}
        self._live: tuple[str, Engine] | None = None
        self._rooms = {(line["model"], line["subject"]): line for line in store.lines(HEADROOM)}
        self._kept = {(line["subject"], line["set"], line["seed"]) for line in store.lines(SETS)}
        self._asked = {Ask(**line["ask"]) for line in store.lines(ASKED)}

    async def aclose(self) -> None:
        """Close the model that is open, if one is."""
        live, self._live = self._live, None
        if live:
            await live[1].aclose()

    async def _engine(self, model: str) -> Engine:
        if self._live is None or self._live[0] != model:
            await self.aclose()
            self._live = model, remembering(self._opening(MODELS[model]), self._store.path / DRAWS / model)
        return self._live[1]

    def task(self, name: str) -> Task:
        """Loaded once."""
        if name not in self._tasks:
            self._tasks[name] = load_task(self._subjects[name].spec)
        return self._tasks[name]

    def sets(self, name: str, seed: int) -> Sets:
        """The questions of a task for a seed, with a line for each set that the tables need."""
        if (name, seed) not in self._sets:
            found = sets_of(self._subjects[name], self.task(name), self.sizes, seed)
            self._sets[name, seed] = found
            for kind, place, items in ((DEV, seed, found.dev), (TEST, 0, found.test)):
                if (name, kind, place) not in self._kept:
                    self._kept.add((name, kind, place))
                    told = {"clusters": [item.cluster for item in items], "kinds": [item.kind.value for item in items]}
                    self._store.append(SETS, {"subject": name, "set": kind, "seed": place} | told)
        return self._sets[name, seed]

    async def room(self, model: str, name: str) -> Json:
        """What there is to gain on the questions that the first seed learns from; two draws of tasks that are only
        looked at to choose among."""
        if (model, name) not in self._rooms:
            subject, sizes = self._subjects[name], self.sizes
            learn = self.sets(name, sizes.seeds[0]).learn
            made = self._optimizer(await self._engine(model), Search(model, name, "mixed", sizes.seeds[0]))
            draws = 2 if subject.pool else sizes.draws
            found = await made.aheadroom(sizes.initial, trainset=learn, rows=len(learn), draws=draws)
            line = {"model": model, "subject": name, "home": model == subject.model} | _room(found)
            line |= {"main": subject.main, "pool": subject.pool}
            line["chance"] = chance(subject, self.task(name))
            self._store.append(HEADROOM, line)
            self._rooms[model, name] = line
            say(f"headroom {model} {name}: {line['told']}")
        return self._rooms[model, name]

    async def search(self, search: Search) -> None:
        """Go on with a search to its end. One that cannot work is written down, and is no reason to stop."""
        if is_done(self._store.path, search, self.sizes.tokens):
            return
        sets = self.sets(search.subject, search.seed)

        def watch(now: Progress) -> None:
            judging = now.judged is not None
            doing = f"judging {now.judged + 1} of {now.finalists}" if judging else f"{now.right}/{now.rows} right"
            spent = f"{now.spent:,.0f} of {now.ceiling:,.0f} tokens"
            say(f"{search.name}: step {now.step}, {spent}, {doing}: {now.prompt!r}")

        try:
            made = self._optimizer(await self._engine(search.model), search)
            await made.acompile(self.sizes.initial, trainset=sets.learn, valset=sets.dev, watch=watch)
        except ConfigError as reason:
            self._store.append(COULD_NOT, {"search": search.name, "why": str(reason)})
            say(f"{search.name}: could not run: {reason}")
        else:
            ceiling = self._store.path / SEARCHES / search.name / CEILING
            ceiling.write_text(json.dumps({"tokens": self.sizes.tokens}))

    async def ask(self, ask: Ask) -> None:
        """Put a set to a model, unless that was done. The dice of DEV are those that the optimiser judges with."""
        if ask in self._asked:
            return
        sets = self.sets(ask.subject, ask.seed if ask.set == DEV else self.sizes.seeds[0])
        items = sets.dev if ask.set == DEV else sets.test
        sampling = WAYS["mixed"].step(self.sizes.reasoning).sampling
        dice = ask.seed + 1 if ask.set == DEV else TEST_DICE + ask.draw
        engine, task = await self._engine(ask.model), self.task(ask.subject)
        rows = await generated(engine, task, items, lambda item: messages(item.question, ask.prompt), sampling, dice)
        line = {
            "ask": asdict(ask),
            "right": [row.right for row in rows],
            "tokens": [sampling.max_tokens if row.failure else row.tokens for row in rows],
            "values": [row.value.text if row.value else None for row in rows],
            "failed": sum(bool(row.failure) for row in rows),
        }
        self._store.append(ASKED, line)
        self._asked.add(ask)
        say(f"{ask.set} {ask.model} {ask.subject}: {sum(line['right'])}/{len(rows)} right: {ask.prompt!r}")

    def _optimizer(self, engine: Engine, search: Search) -> Optimizer:
        way = WAYS[search.way]
        return Optimizer(
            self.task(search.subject),
            engine=engine,
            budget=TuneBudget(tokens=self.sizes.tokens),
            seed=search.seed,
            run_dir=self._store.path / SEARCHES / search.name,
            step=way.step(self.sizes.reasoning),
            terms=way.terms,
        )


def _room(found: Headroom) -> Json:
    shares = {name: asdict(getattr(found, name)) for name in ("greedy", "single", "passed")}
    can = found.room in (Room.SOME, Room.UNSURE) and found.failed < found.rows * (found.draws + 1)
    return {"rows": found.rows, "draws": found.draws, **shares, "room": can, "told": found.told()}


def has_room(line: Json) -> bool:
    """Whether there may be something to gain: by the draws, and, of tasks that chance gets right, above it."""
    return bool(line["room"] and (not line["chance"] or line["greedy"]["mean"] > line["chance"]))


def chosen(lines: list[Json], most: int) -> list[Json]:
    """Of tasks of a pool with headroom, those that are most surely above chance."""
    found = [line for line in lines if has_room(line)]
    return sorted(found, key=lambda line: line["chance"] - line["greedy"]["low"])[:most]
