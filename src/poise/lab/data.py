"""Examples to train on: questions, wrapped by prompts, with worked solutions; training and validation kept apart."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from poise import prompts
from poise.core import Prompt, Request
from poise.errors import ConfigError, UnknownName
from poise.evals.rows import Item
from poise.evals.tasks import Task, load_task
from poise.evals.tasks_gym import GymTask
from poise.lab.recipe import Recipe, Source
from poise.lab.texts import documents, is_text
from poise.lab.worked import solution
from poise.lab.worked.prose import polished

logger = logging.getLogger(__name__)

_SPARE = 1.3  # items asked for per example wanted, because some have no worked solution


@dataclass(frozen=True, slots=True)
class Example:
    """One question as it is asked, and the answer to learn. `cluster`: its template or item; `task`: its source. Plain
    text is an answer without a prompt. `thought`: the worked solution, where the answer is the value alone."""

    prompt: Prompt
    answer: str
    question: str
    cluster: str
    task: str
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Examples:
    """What a recipe trains on, and what it validates on: no question of one is in the other."""

    training: tuple[Example, ...]
    validation: tuple[Example, ...]


def examples_of(recipe: Recipe, places: Mapping[str, str]) -> Examples:
    """All examples of a recipe, generated and shuffled by its seed. `places`: files to read instead of the hub, by the
    head of a task spec (`gsm8k` -> path). Raises UnknownName for a place that no source asks for, ConfigError for a
    task without worked solutions, or no example left; DataError for a source that cannot be read. Minutes at most:
    ~2,000 questions a second."""
    heads = {source.task.partition(":")[0] for source in recipe.sources}
    for head in places:
        if head not in heads:
            raise UnknownName("data", head, heads)
    training: list[Example] = []
    validation: list[Example] = []
    for number, source in enumerate(recipe.sources):
        rng = random.Random(f"{recipe.seed}/{number}")
        found = _found(source, _placed(source.task, places), rng)
        validation += found[: source.validation]
        training += found[source.validation : source.validation + source.count]
    training = without(training, (example.question for example in validation))
    if not training:
        raise ConfigError("source", [source.task for source in recipe.sources], "sources with at least one example")
    random.Random(recipe.seed).shuffle(training)
    return Examples(tuple(training), tuple(validation))


def _found(source: Source, task: str, rng: random.Random) -> list[Example]:
    """The examples of one source, validation first."""
    if is_text(task):
        parts = documents(task)
        random.Random(source.seed).shuffle(parts)
        return [Example((), part, part, f"{source.task}/{place}", source.task) for place, part in enumerate(parts)]
    return [_example(source, item, text, rng) for item, text in _worked(load_task(task), source)]


def without(examples: Sequence[Example], questions: Iterable[str]) -> list[Example]:
    """The examples whose question is not among these, and each question once per wording."""
    out, seen = {plain(question) for question in questions}, set()
    kept = []
    for example in examples:
        key = plain(example.question)
        if key not in out and (key, example.prompt) not in seen:
            seen.add((key, example.prompt))
            kept.append(example)
    return kept


def plain(question: str) -> str:
    """A question without case and spacing, for comparing."""
    return " ".join(question.lower().split())


def _placed(task: str, places: Mapping[str, str]) -> str:
    head, _, rest = task.partition(":")
    if head not in places:
        return task
    kept = [piece for piece in rest.split(",") if piece and not piece.startswith(("split=", "path="))]
    return f"{head}:" + ",".join([f"path={places[head]}", *kept])


def _worked(task: Task, source: Source) -> list[tuple[Item, str]]:
    """The first items that have a worked solution, validation first."""
    wanted = source.count + source.validation
    limit, found = int(wanted * _SPARE) + 16, list[tuple[Item, str]]()
    for _ in range(6):
        items = task.items(limit, source.seed)
        found = [(item, text) for item in items if (text := worked(task, item)) is not None]
        if len(found) >= wanted or len(items) < limit:
            break
        limit *= 2
    if not found:
        raise ConfigError("source.task", source.task, "a task with worked solutions")
    if len(found) < wanted:
        logger.warning("%s: %d questions with worked solutions, of %d wanted", source.task, len(found), wanted)
    return found[:wanted]


def worked(task: Task, item: Item) -> str | None:
    """The worked solution of one item, if there is a way to have one."""
    if isinstance(task, GymTask):
        return solution(task.family, task.entry(item))
    return polished(item.worked)


def _example(source: Source, item: Item, text: str, rng: random.Random) -> Example:
    names, weights = zip(*source.prompts, strict=True)
    name = rng.choices(names, weights)[0]
    prompt = prompts.load(name).render(Request.ask(item.question, item.kind))
    answer = text.rpartition("#### ")[2] if source.values or name == "direct" else text
    thought = text if source.values else ""
    return Example(prompt, answer, item.question, item.cluster, source.task, thought)
