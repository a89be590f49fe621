"""Prefixes of recorded drafts, and how often the policy ends right from there: what a process scorer should say.

A draft is cut where a line ends, and gone on with many times; the share of continuations that end right is the label
(Math-Shepherd's soft estimation, Wang et al. 2023, arXiv 2312.08935). A head learns from one outcome a draft, which is
cheaper and noisier; these labels check it. The folder holds

    prefixes.json        what decides the continuations
    draws-00000.jsonl    one line a continuation, kept as a pool keeps its draws and gone on with in the same way
    labels.jsonl         one line a prefix, written when a sitting ends
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from poise import prompts
from poise.core import Ability, Message, Request, Role
from poise.errors import AbilityMissing, ConfigError
from poise.evals.grade import Question, fingerprint, questions_of
from poise.evals.rows import Item
from poise.lab.pool import Pool, PooledItem
from poise.lab.rollouts import Sitting, Start, Watch, check_parallel
from poise.records import Json
from poise.seams import Engine
from poise.store.environment import environment
from poise.store.pool_dir import PoolDir, PooledDraw

SETTINGS, LABELS = "prefixes.json", "labels.jsonl"
_LINE_END = re.compile(r"\n(?=\S)")


class PrefixDir(PoolDir):
    """A folder of continuations. Its settings have a name of their own, so that nobody takes it for a pool."""

    settings_file: ClassVar[str] = SETTINGS


@dataclass(frozen=True, slots=True)
class PrefixSettings:
    """`per_question` drafts of each of `questions` are cut, and each is gone on with `draws` times. `seed`: of what is
    chosen and drawn. Raises ConfigError where this cannot work."""

    questions: int = 40
    per_question: int = 2
    draws: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for field, least in (("questions", 1), ("per_question", 1), ("draws", 1), ("seed", 0)):
            if getattr(self, field) < least:
                raise ConfigError(field, getattr(self, field), f"{least} or more")


@dataclass(frozen=True, slots=True)
class Prefix:
    """The first `lines` of a draft, with the line end. `draw`: the draft's index; `tokens`: about how many of its;
    `outcome`: whether the whole draft is right."""

    item: Item
    draw: int
    lines: int
    text: str
    tokens: int
    outcome: bool

    @property
    def id(self) -> str:
        """By which its continuations are kept."""
        return f"{self.item.id}/{self.draw}/{self.lines}"


@dataclass(frozen=True, slots=True)
class Label:
    """A prefix and whether each of its continuations ended right."""

    prefix: Prefix
    right: tuple[bool, ...]

    @property
    def share(self) -> float:
        """Of continuations that ended right."""
        return sum(self.right) / len(self.right)


def chosen(pool: Pool, settings: PrefixSettings) -> list[Prefix]:
    """Prefixes of a pool, by the seed alone. Questions come in random order, those with right and wrong drafts first;
    of each, drafts are drawn evenly (whatever their outcome, so that calibration is not bent) and cut after a line, not
    the last, that is drawn evenly. Raises ConfigError where no draft has two lines."""
    order = random.Random(settings.seed).sample(pool.items, len(pool.items))
    order.sort(key=lambda one: len(set(one.grades)) < 2)
    by_question = [found for one in order if (found := _cut(one, settings))]
    if not by_question:
        raise ConfigError("pool", pool.settings.tasks, "a pool with drafts of more than one line")
    return [prefix for found in by_question[: settings.questions] for prefix in found]


def _cut(one: PooledItem, settings: PrefixSettings) -> list[Prefix]:
    dice = random.Random(f"{settings.seed}|{one.item.id}")
    able = [(draw, ends) for draw in one.draws if (ends := line_ends(draw.draft.text))]
    drawn = dice.sample(able, min(settings.per_question, len(able)))
    return [_prefix(one.item, draw, dice.choice(ends)) for draw, ends in drawn]


def _prefix(item: Item, draw: PooledDraw, end: int) -> Prefix:
    text, whole = draw.draft.text[:end], draw.draft
    return Prefix(item, draw.index, text.count("\n"), text, round(whole.tokens * end / len(whole.text)), draw.correct)


def line_ends(text: str) -> list[int]:
    """Places behind the line ends that text follows. Whatever the tokenizer, a token ends there with the newline, so a
    head is trained to be read there (see `lab.readout.line_ends`)."""
    return [found.end() for found in _LINE_END.finditer(text) if text[: found.end()].strip()]


async def record(
    pool: Pool,
    settings: PrefixSettings,
    engine: Engine,
    store: PrefixDir,
    watch: Watch | None = None,
    parallel: int = 0,
) -> list[Label]:
    """Go on from prefixes of `pool` with its prompt and sampling (its ceiling holds for prefix and continuation
    together), grade what comes, keep it in `store`, and label what is there then. `watch` and `parallel` as in
    `lab.rollouts.record`.

    Raises AbilityMissing for an engine that cannot continue a prefix and ConfigError for a pool whose questions are no
    longer those of its tasks, before anything is drawn; EngineError and StoreError as `lab.rollouts.record` does, and
    the same call goes on from there. Cost: settings.draws for each prefix, less what the prefix saves."""
    check_parallel(parallel)
    if Ability.CONTINUES not in engine.can:
        raise AbilityMissing("prefixes", engine.name, [Ability.CONTINUES.value], [])
    prefixes, recorded = chosen(pool, settings), pool.settings
    questions = questions_of(recorded.tasks, recorded.limit, recorded.seed)
    prompt = prompts.load(recorded.prompt)
    drawn = replace(
        recorded, draws=settings.draws, seed=settings.seed, sampling=replace(recorded.sampling, top_logprobs=None)
    )
    starts = []
    for prefix in prefixes:
        question = _question(prefix, questions)
        asked = prompt.render(Request.ask(prefix.item.question, prefix.item.kind))
        left = max(drawn.sampling.max_tokens - prefix.tokens, 1)
        continued = (*asked, Message(Role.ASSISTANT, prefix.text))
        starts.append(Start(prefix.id, question, continued, replace(drawn.sampling, max_tokens=left), prefix.text))
    config = {**drawn.to_json(engine.card, prompt.hash), "prefixes": fingerprint(prefixes)}
    with store.claimed(config, environment({engine.name: engine.card})):
        await Sitting(drawn, starts, engine, store, watch).run(parallel)
        labels = labelled(prefixes, store)
        store.write_lines(LABELS, map(_to_json, labels))
    return labels


def _question(prefix: Prefix, questions: Mapping[str, Question]) -> Question:
    found = questions.get(prefix.item.id)
    if found is None or found.item != prefix.item:
        raise ConfigError("pool", prefix.item.id, "questions that its tasks still ask: they have changed since")
    return found


def labelled(prefixes: Sequence[Prefix], store: PrefixDir) -> list[Label]:
    """The prefixes that have continuations."""
    right: dict[str, dict[int, bool]] = {}
    for draw in store.draws():
        right.setdefault(draw.item, {})[draw.index] = draw.correct
    told = [(prefix, right.get(prefix.id, {})) for prefix in prefixes]
    return [Label(prefix, tuple(good for _, good in sorted(by_index.items()))) for prefix, by_index in told if by_index]


def _to_json(label: Label) -> Json:
    prefix = label.prefix
    return {
        "item": prefix.item.id,
        "task": prefix.item.task,
        "cluster": prefix.item.cluster,
        "draw": prefix.draw,
        "lines": prefix.lines,
        "prefix": prefix.text,
        "outcome": prefix.outcome,
        "draws": len(label.right),
        "right": sum(label.right),
    }
