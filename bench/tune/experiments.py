"""The order of the work: an estimate, headroom, searches, then DEV and TEST of what they found; and the page of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from findings import Findings
from running import COULD_NOT, HEADROOM, ExperimentDir, Work, chosen, has_room, is_done, say
from tables import Tables, headroom
from ways import MODELS, Cost, Part, Search, Sizes, Subject, asks_front, costs, parts

from poise.api import engine_named
from poise.records import Json
from poise.seams import Engine
from poise.store.environment import environment

FROM_A_POOL = 2
"""Tasks of a pool that are searched on."""
_ORDER = list(MODELS)


async def measure(
    folder: Path,
    sizes: Sizes,
    subjects: Sequence[Subject],
    only: str = "",
    *,
    rate: float = 400.0,
    opening: Callable[[str], Engine] = engine_named,
) -> None:
    """Do what is not done yet. Raises ConfigError for a folder of other sizes, and what engines and stores raise."""
    for name in ("gsm8k", "bbh"):
        if not any(name in (subject.name, subject.pool) for subject in subjects):
            say(f"{name}: skipped, no folder was given (--{name})")
    store = ExperimentDir(folder)
    with store.claimed(sizes.to_json(), environment({})):
        work = Work(store, sizes, {subject.name: subject for subject in subjects}, opening)
        try:
            for line in estimate(store, sizes, subjects, only):
                say(line.told(rate))
            say(f"margin of non-inferiority: {100 * sizes.margin:.0f} points at n = {sizes.test}")
            for model, name in rooms(subjects, sizes, only):
                await work.room(model, name)
            await _searched(work, store, [subject.name for subject in subjects], only)
        finally:
            await work.aclose()


async def _searched(work: Work, store: ExperimentDir, names: Sequence[str], only: str) -> None:
    """Searches, one model after the other; then what was not judged at the common temperature, and TEST."""
    lines, folder, sizes = list(store.lines(HEADROOM)), store.path, work.sizes
    subjects = [subject for subject in with_room(lines) if subject.name in names]
    searches = dict.fromkeys(part.search for part in open_parts(lines, subjects, sizes, only))
    for search in sorted(searches, key=lambda one: _ORDER.index(one.model)):
        await work.search(search)
    for ask in Findings(folder, subjects, sizes, only).dev_to_ask():
        await work.ask(ask)
    asks = Findings(folder, subjects, sizes, only).tests()
    for ask in sorted(asks, key=lambda one: _ORDER.index(one.model)):
        await work.ask(ask)


def rooms(subjects: Sequence[Subject], sizes: Sizes, only: str) -> list[tuple[str, str]]:
    """Models and tasks whose headroom has to be known; all tasks of a pool where one is."""
    found = []
    for model in MODELS:
        asked = {subject.name for subject in subjects if _asks(subject, sizes, only, model)}
        pools = {subject.pool for subject in subjects if subject.name in asked} - {""}
        found += [(model, each.name) for each in subjects if each.name in asked or each.pool in pools]
    return found


def _asks(subject: Subject, sizes: Sizes, only: str, model: str) -> bool:
    if any(part.search.model == model for part in parts([subject], sizes, only)):
        return True
    return model == subject.model and asks_front(subject, only)


def estimate(store: ExperimentDir, sizes: Sizes, subjects: Sequence[Subject], only: str) -> list[Cost]:
    """What is left to do; a task whose headroom is not known yet counts as if it had some."""
    lines = list(store.lines(HEADROOM))
    known = {(line["model"], line["subject"]) for line in lines}
    left = [each for each in rooms(subjects, sizes, only) if each not in known]
    by_name = {subject.name: subject for subject in subjects}
    scans = sum(sizes.learn * (3 if by_name[name].pool else 1 + sizes.draws) for _, name in left)
    unknown = [each for each in subjects if (each.model, each.name) not in known]
    open_pool = [each for each in unknown if each.pool][:FROM_A_POOL]
    kept = [each for each in with_room(lines) if each.name in by_name and not (each.pool and open_pool)]
    todo = open_parts(lines, [*kept, *(each for each in unknown if not each.pool), *open_pool], sizes, only)
    todo = [part for part in todo if not is_done(store.path, part.search, sizes.tokens)]
    fronts = {part.search.subject for part in todo}
    return costs(todo, sizes, scans, sum(each.name in fronts and asks_front(each, only) for each in subjects))


def with_room(lines: Sequence[Json]) -> list[Subject]:
    """The tasks that are searched on, by what was found out of the headroom of the models that are tuned for them."""
    told = [line for line in lines if line["home"]]
    pools = sorted({line["pool"] for line in told} - {""})
    best = [line for pool in pools for line in chosen([each for each in told if each["pool"] == pool], FROM_A_POOL)]
    kept = [line for line in told if not line["pool"] and has_room(line)] + best
    return [Subject(line["subject"], "", line["model"], main=line["main"], pool=line["pool"]) for line in kept]


def open_parts(lines: Sequence[Json], subjects: Sequence[Subject], sizes: Sizes, only: str) -> list[Part]:
    """What is searched; the other model only where it has headroom itself."""
    without = {(line["model"], line["subject"]) for line in lines if not line["home"] and not has_room(line)}
    found = parts(subjects, sizes, only)
    return [part for part in found if (part.search.model, part.search.subject) not in without]


def show(folder: Path, sizes: Sizes, only: str, machine: str) -> str:
    """All tables."""
    store = ExperimentDir(folder)
    lines = list(store.lines(HEADROOM))
    subjects = with_room(lines)
    findings = Findings(folder, subjects, sizes, only)
    about = f"{machine}. Accuracy by Wilson, differences and tokens by a paired bootstrap over clusters, all of 95 %."
    spent = "Tokens of a search are those generated and those run through the model for proposals and gradients."
    page = [f"{about} {spent}", "", headroom(lines), Tables(findings, subjects).markdown()]
    return "\n".join([*page, *could_not(store, findings.searches)])


def could_not(store: ExperimentDir, searches: Mapping[Search, object]) -> list[str]:
    """Searches without an end, and why, where that is known."""
    why = {line["search"]: line["why"] for line in store.lines(COULD_NOT)}
    return [
        f"{one.name}: could not run: {why[one.name]}"
        for one, found in searches.items()
        if not found and one.name in why
    ]
