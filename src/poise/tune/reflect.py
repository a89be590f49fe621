"""GEPA's side of a search (Agrawal et al. 2025, arXiv 2507.19457): what its package asks of us, and what it tells.

The package calls from a thread of its own and waits; answers are drawn on the event loop. Dicts and lists of dicts are
its interface, and stay in this file.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from poise.core import Message, Prompt, Role, Sampling
from poise.draws import derived_seed, prompt_bound
from poise.errors import EngineError, EngineUnreachable
from poise.evals.rows import Item
from poise.records import Json
from poise.seams import Engine
from poise.tune.budget import Spent
from poise.tune.emit import tidy
from poise.tune.generate import Generated, drawn, generated
from poise.tune.journal import Journal, key_of
from poise.tune.optimizer import TuneSettings
from poise.tune.placing import messages
from poise.tune.problem import Problem

T = TypeVar("T")
PROMPT = "prompt"
"""The one component that is evolved."""
PATIENCE = 8
"""Answers in a row that the engine did not give, with none given in between, that end a sitting."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A question and its answer."""

    item: Item
    answer: Generated


@dataclass(frozen=True, slots=True)
class Reflection:
    """The engine that proposes prompts, from answers to `rows` questions at a time, at most `tokens` long, drawn at
    `temperature`."""

    engine: Engine
    rows: int = 3
    tokens: int = 512
    temperature: float = 1.0

    @property
    def sampling(self) -> Sampling:
        """Of a proposal."""
        return Sampling(self.temperature, max_tokens=self.tokens)


def parts(items: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Questions to reflect on, and those that keep the pool; a single one is both."""
    half = (len(items) + 1) // 2
    return tuple(items[:half]), tuple(items[half:] or items)


class Asker:
    """An adapter of gepa: evaluates candidates on items. Also the model that reflects, as `reflect`."""

    propose_new_texts = None

    def __init__(
        self, engine: Engine, reflection: Reflection, problem: Problem, settings: TuneSettings, journal: Journal
    ) -> None:
        self._engine, self._reflection, self._problem = engine, reflection, problem
        self._settings, self._journal = settings, journal
        self._loop = asyncio.get_running_loop()
        self._pending: Future[Any] | None = None  # what the search waits for
        self._away = 0
        self.parts = parts(problem.learn)
        self.before: Callable[[], None] = lambda: None
        """Called on the event loop before anything is asked."""
        self.round = 0
        """Of the search: questions of one round are asked under the same dice, of another under others."""

    def evaluate(self, batch: Sequence[Item], candidate: Mapping[str, str], capture_traces: bool = False) -> Any:
        """Scores of a candidate, and what was answered. An empty prompt is asked of nobody."""
        from gepa import EvaluationBatch

        text = tidy(candidate[PROMPT])
        if text:
            told = self._wait(partial(self._answers, batch, text))
        else:
            told = [Generated(item.id, failure="the prompt is empty") for item in batch]
        seen = [Seen(item, answer) for item, answer in zip(batch, told, strict=True)]
        return EvaluationBatch([each.text for each in told], [float(each.right) for each in told], seen)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, str]]]:
        """What the model that reflects is shown."""
        return {PROMPT: [_shown(seen) for seen in eval_batch.trajectories]}

    def reflect(self, prompt: str | list[dict[str, Any]]) -> str:
        """A proposal, or nothing where it failed."""
        text = prompt if isinstance(prompt, str) else "\n".join(str(part["content"]) for part in prompt)
        return self._wait(partial(self._proposal, text))

    @property
    def stopped(self) -> bool:
        """Whether nothing more is asked."""
        return self._journal.stopped

    def stop(self) -> None:
        """Ask nothing more, and drop what is being asked."""
        self._journal.stop()
        if self._pending:
            self._pending.cancel()

    def raise_error(self) -> None:
        """Raise what it stopped for, if that was no matter of budget."""
        if self._journal.error:
            raise self._journal.error

    def _wait(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the event loop makes of it, from the thread that gepa runs in."""

        async def carried_out() -> T:
            self.before()
            return await work()

        self._pending = future = asyncio.run_coroutine_threadsafe(carried_out(), self._loop)
        try:
            return future.result()
        except Exception as error:
            self._journal.stop(error)
            raise

    async def _answers(self, items: Sequence[Item], text: str) -> list[Generated]:
        sampling = self._settings.step.sampling
        ids = tuple(item.id for item in items)
        pool = tuple(item.id for item in self.parts[1])
        dice = "pool" if ids == pool else f"round {self.round}"

        async def ask() -> tuple[Json, Spent]:
            seed = derived_seed(self._settings.seed, dice, *ids)
            told = await generated(
                self._engine, self._problem.task, items, lambda item: messages(item.question, text), sampling, seed
            )
            self._check(told)
            rows = [[each.text, each.tokens, each.right, each.failure] for each in told]
            return {"rows": rows}, Spent(len(told), sum(each.tokens for each in told))

        most = Spent(len(items), len(items) * sampling.max_tokens)
        told = await self._journal.once(key_of("answers", text, dice, *ids), most, ask)
        return [
            Generated(id, said, tokens=tokens, right=right, failure=failure)
            for id, (said, tokens, right, failure) in zip(ids, told["rows"], strict=True)
        ]

    async def _proposal(self, text: str) -> str:
        seed = derived_seed(self._settings.seed, "proposal", self._journal.asked)

        async def ask() -> tuple[Json, Spent]:
            try:
                said, spent = await _reflected(self._reflection, text, seed)
            except EngineError as error:
                return {"text": "", "failure": f"{error}"}, Spent(1)
            return {"text": said, "failure": ""}, spent

        most = Spent(1, prompt_bound(_asked(text)) + self._reflection.tokens)
        told = await self._journal.once(key_of("proposal", text), most, ask)
        return str(told["text"])

    def _check(self, told: Sequence[Generated]) -> None:
        """Raise where an engine that is away would be mistaken for one that answers wrongly."""
        self._away = self._away + len(told) if all(each.away for each in told) else 0
        if self._away >= PATIENCE:
            raise EngineUnreachable(f"{self._away} answers failed in a row; the last: {told[-1].failure}")


async def propose(reflection: Reflection, prompt: str, seen: Sequence[Seen], seed: int) -> tuple[str, Spent]:
    """One proposal from answers that a prompt led to, as the package asks for it, and its cost: a call, and the tokens
    read and generated. Raises EngineError."""
    from gepa.strategies.instruction_proposal import InstructionProposalSignature as Signature

    asked = {"current_instruction_doc": prompt, "dataset_with_feedback": [_shown(each) for each in seen]}
    said, spent = await _reflected(reflection, str(Signature.prompt_renderer({**asked, "prompt_template": None})), seed)
    return tidy(Signature.output_extractor(said.strip())["new_instruction"]), spent


async def _reflected(reflection: Reflection, text: str, seed: int) -> tuple[str, Spent]:
    got = await drawn(reflection.engine, _asked(text), replace(reflection.sampling, seed=seed))
    read = prompt_bound(_asked(text)) if got.prompt_tokens is None else got.prompt_tokens
    return got.draft().text, Spent(1, read + got.new_tokens)


def _asked(text: str) -> Prompt:
    return (Message(Role.USER, text),)


def _shown(seen: Seen) -> dict[str, str]:
    answer, item, words = seen.answer, seen.item, _words()
    kind = "right" if answer.right else "failed" if answer.failure else "worked" if item.worked else "wrong"
    feedback = words[kind].format(truth=item.truth, worked=item.worked, failure=answer.failure)
    return {"Inputs": item.question, "Generated Outputs": answer.text, "Feedback": feedback}


@lru_cache
def _words() -> Mapping[str, str]:
    return tomllib.loads(Path(__file__).with_name("feedback.toml").read_text(encoding="utf-8"))
