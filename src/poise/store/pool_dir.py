"""A pool: draws of many questions, recorded once, to be judged and replayed many times.

    pool.json            what decides the draws: tasks, prompt, sampling, seed, the model's card; a pool goes on only so
    items.json           the questions, with their truths
    environment.json     the machine and the versions
    draws-00000.jsonl    one line a draw (see `PooledDraw`), in shards of bounded size
    failures.jsonl       draws that failed, which are asked for again when the pool goes on
    lock                 held by the one process that writes

Written as a run directory is: a line is one `write`, and a torn last line is cut off, so a killed process loses no draw
that was kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from poise.core import Draft, Finish, Prompt, Rule, Sampling, Value
from poise.costs import Card
from poise.errors import ConfigError, DataError
from poise.records import Json, sampling_to_json
from poise.records.settings import sampling_from_json
from poise.store.run_dir import RunDir

POOL, ITEMS, FAILURES = "pool.json", "items.json", "failures.jsonl"
VERSION = 1
DRAWS_PER_SHARD = 2_000


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """`draws` of each of the first `limit` items of each task, wrapped by one prompt. `seed`: of the items and, with
    the item and the index of the draw, of every draw. Raises ConfigError where this cannot work."""

    tasks: tuple[str, ...]
    limit: int = 100
    seed: int = 0
    draws: int = 32
    prompt: str = "bare"
    sampling: Sampling = Sampling(top_logprobs=0)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ConfigError("tasks", self.tasks, "at least one")
        for field, number, least in (("limit", self.limit, 1), ("draws", self.draws, 1), ("seed", self.seed, 0)):
            if number < least:
                raise ConfigError(field, number, f"{least} or more")
        if self.sampling.seed is not None:
            raise ConfigError("sampling.seed", self.sampling.seed, "nothing: every draw has a seed of its own")

    def to_json(self, card: Card, prompt_hash: str) -> Json:
        """For pool.json: with the model and the prompt that make these settings what they are."""
        return {
            "version": VERSION,
            "tasks": self.tasks,
            "limit": self.limit,
            "seed": self.seed,
            "draws": self.draws,
            "prompt": {"id": self.prompt, "hash": prompt_hash},
            "sampling": sampling_to_json(self.sampling),
            "model": {fact: number for fact, number in dataclasses.asdict(card).items() if number},
        }


@dataclass(frozen=True, slots=True)
class PooledDraw:
    """One draw of one item, graded. `index`: which of the item's draws; `seed`: its own, although draws of one call
    share that of the first; `prompt`: hash of the prompt as it was sent. `cached_tokens`: of the prompt, what the
    engine did not have to read (all of it, for all but the first draw of a call); None where it did not say. `seconds`:
    from the first token to the last, beside whatever else ran."""

    item: str
    task: str
    cluster: str
    index: int
    seed: int
    prompt: str
    draft: Draft
    value: Value | None
    correct: bool
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    seconds: float = 0.0


class PoolDir(RunDir):
    """The pool at `path`. Reading needs no lock and changes nothing; `add` needs `claimed`."""

    settings_file: ClassVar[str] = POOL
    line_files: ClassVar[tuple[str, ...]] = (FAILURES,)

    def __init__(self, path: str | os.PathLike[str], draws_per_shard: int = DRAWS_PER_SHARD) -> None:
        super().__init__(path)
        self._draws_per_shard, self._shard, self._room = draws_per_shard, 0, 0

    @property
    def settings(self) -> PoolSettings:
        """What the pool was drawn with. Raises DataError where there is no pool, or a broken one."""
        data = self._begun()
        with self._understood():
            sampling = sampling_from_json(data["sampling"])
            tasks, prompt = tuple(data["tasks"]), data["prompt"]["id"]
            return PoolSettings(tasks, data["limit"], data["seed"], data["draws"], prompt, sampling)

    @property
    def card(self) -> Card:
        """Of the model that drew. Raises DataError as `settings` does."""
        data = self._begun()
        with self._understood():
            return Card(**data["model"])

    @contextlib.contextmanager
    def claimed(self, config: Json, environment: Json) -> Iterator[PoolDir]:
        """See `RunDir.claimed`; the last shard is gone on with."""
        with super().claimed(config, environment):
            shards = self._shards()
            self._shard = int(shards[-1].removeprefix("draws-").removesuffix(".jsonl")) if shards else 0
            self._open_lines(_shard_name(self._shard))
            self._room = self._draws_per_shard - sum(1 for _ in self.lines(_shard_name(self._shard)))
            try:
                yield self
            finally:
                self._close(_shard_name(self._shard))

    def add(self, draw: PooledDraw) -> None:
        """Keep one draw. Raises StoreError when it cannot be written; what was there stays whole."""
        if self._room <= 0:
            self._open_lines(_shard_name(self._shard + 1))
            self._shard, full, self._room = self._shard + 1, self._shard, self._draws_per_shard
            self._close(_shard_name(full))
        self.append(_shard_name(self._shard), _to_json(draw))
        self._room -= 1

    def draws(self) -> Iterator[PooledDraw]:
        """Every draw, in the order they ended. Equal numbers share their memory: ~30 bytes a token, with its text.
        ~10,000 draws of 100 tokens a second. Raises DataError for a broken line."""
        shared = _Shared(), _Shared()
        for name in self._shards():
            for number, data in enumerate(self.lines(name), 1):
                try:
                    yield _from_json(data, *shared)
                except (KeyError, TypeError, ValueError) as error:
                    said = f"{type(error).__name__}: {error}"
                    raise DataError(str(self.path / name), number, said, "a draw as Poise writes it") from error

    def _shards(self) -> list[str]:
        return sorted(path.name for path in self.path.glob("draws-*.jsonl"))

    def _begun(self) -> Json:
        data = self.read(POOL)
        if data is None:
            raise DataError(str(self.path), 0, f"no {POOL}", "the folder of a pool, as `poise lab rollouts` makes it")
        if data.get("version") != VERSION:
            raise DataError(str(self.path / POOL), 0, data.get("version"), f"version {VERSION}")
        return data

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError) as error:
            said = f"{type(error).__name__}: {error}"
            raise DataError(str(self.path / POOL), 0, said, "settings as Poise writes them") from error


class _Shared(dict[Any, Any]):
    """Makes tuples in which equal numbers are one object."""

    def __call__(self, numbers: Sequence[Any]) -> tuple[Any, ...]:
        return tuple([self.setdefault(number, number) for number in numbers])


def prompt_hash(prompt: Prompt) -> str:
    """The first 16 hex digits of a SHA-256 over roles and texts."""
    said = [(message.role.value, message.text) for message in prompt]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _shard_name(number: int) -> str:
    return f"draws-{number:05}.jsonl"


def _to_json(draw: PooledDraw) -> Json:
    """What is empty or None is left out; times are rounded to microseconds and logprobs to four decimals."""
    draft = draw.draft
    data: Json = {
        "item": draw.item,
        "task": draw.task,
        "cluster": draw.cluster,
        "index": draw.index,
        "seed": draw.seed,
        "prompt": draw.prompt,
        "text": draft.text,
        "finish": draft.finish.value,
        "tokens": draft.tokens,
        "logprobs": _rounded(draft.logprobs),
        "alternatives": [_rounded(top) for top in draft.alternatives],
        "token_ids": draft.token_ids,
        "prompt_tokens": draw.prompt_tokens,
        "cached": draw.cached_tokens,
        "value": draw.value.text if draw.value else None,
        "rule": draw.value.rule.value if draw.value else None,
        "correct": draw.correct,
        "seconds": round(draw.seconds, 6),
    }
    return {name: entry for name, entry in data.items() if entry is not None and entry not in ([], ())}


def _rounded(logprobs: Sequence[float]) -> list[float]:
    return [round(logprob, 4) for logprob in logprobs]


def _from_json(data: Json, logprobs: _Shared, ids: _Shared) -> PooledDraw:
    draft = Draft(
        data["text"],
        Finish(data["finish"]),
        data["tokens"],
        logprobs(data.get("logprobs", ())),
        tuple(map(logprobs, data.get("alternatives", ()))),
        ids(data.get("token_ids", ())),
    )
    return PooledDraw(
        item=data["item"],
        task=data["task"],
        cluster=data["cluster"],
        index=data["index"],
        seed=data["seed"],
        prompt=data["prompt"],
        draft=draft,
        value=Value(data["value"], Rule(data["rule"])) if "rule" in data else None,
        correct=data["correct"],
        prompt_tokens=data.get("prompt_tokens"),
        cached_tokens=data.get("cached"),
        seconds=data["seconds"],
    )
