"""Scorers that read a policy's hidden states: the verifier (a process scorer) and the probe (cheaper, fewer layers).

Trained by `poise lab verifier` on outcomes of the policy's own draws, read out where lines end (see
`poise.lab.verifier`). Both need PyTorch."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

import numpy as np

from poise.core import Ability, Finish, Path, Prompt, Request, Role, Score
from poise.costs import Card, Usage
from poise.errors import ConfigError
from poise.models.head import load_head, pooled_features
from poise.models.turns import Text, prompt_ids, text_ids

if TYPE_CHECKING:
    from poise.models.reader import Asked

HEADS = FilePath(__file__).parent.parent / "models" / "heads"


@dataclass(frozen=True, slots=True)
class Job:
    """Texts of one request, waiting to be read."""

    prompt: Prompt
    texts: tuple[Text, ...]
    loop: asyncio.AbstractEventLoop
    told: asyncio.Future[list[Score]]


class Reading:
    """A policy and a head in memory, and the thread-safe queue that batches what many requests want scored at once."""

    def __init__(self, folder: FilePath, model: str = "") -> None:
        from poise.models.reader import load_reader

        self.head = load_head(folder)
        self.reader = load_reader(model or self.head.card.model)
        self.card = self.reader.card
        width = self.card.width * len(self.head.card.layers) * (2 if self.head.card.pooled else 1)
        if self.head.card.layers[-1] > self.card.layers or self.head.mean.size != width:
            raise ConfigError("verifier", str(folder), f"a head for {self.card.name}, not for {self.head.card.model}")
        self._queue, self._working = threading.Lock(), threading.Lock()
        self._waiting: list[Job] = []

    async def scores(self, prompt: Prompt, texts: Sequence[Text]) -> list[Score]:
        """Scores of texts that continue one prompt. What arrives while something is being read waits, and is then read
        in one pass."""
        loop = asyncio.get_running_loop()
        job = Job(prompt, tuple(texts), loop, loop.create_future())
        with self._queue:
            self._waiting.append(job)
        await asyncio.to_thread(self._drain)
        return await job.told

    def _drain(self) -> None:
        with self._working:
            with self._queue:
                jobs, self._waiting = self._waiting, []
            if not jobs:
                return  # another thread has read ours too
            try:
                found = self.read(jobs)
            except Exception as error:  # noqa: BLE001 - the boundary of the thread: who waits must hear of it
                for job in jobs:
                    job.loop.call_soon_threadsafe(_fail, job.told, error)
            else:
                for job, scores in zip(jobs, found, strict=True):
                    job.loop.call_soon_threadsafe(_tell, job.told, scores)

    def read(self, jobs: Sequence[Job]) -> list[list[Score]]:
        """Scores per job: one forward pass for all prompts, one for all texts."""
        from poise.models.reader import Asked, read

        tokenizer, card = self.reader.tokenizer, self.head.card
        asked = [
            Asked(prompt_ids(tokenizer, job.prompt), [text_ids(tokenizer, text) for text in job.texts]) for job in jobs
        ]
        states = [state.float().numpy() for part in read(self.reader.llama, asked, card.layers) for state in part]
        rows = [pooled_features(state, np.array([len(state) - 1]), card.pooled) for state in states]
        depths = np.array([text.lines for job in jobs for text in job.texts])
        values = iter(self.head.probability(np.concatenate(rows), depths))
        return [[Score(float(next(values)), usage) for usage in self._bill(each)] for each in asked]

    def _bill(self, asked: Asked) -> list[Usage]:
        """Usage per text: the first pays for the prompt, the others find it read."""
        card, shared = partial_card(self.card, self.head.card.layers[-1]), len(asked.prompt)
        found = []
        for number, text in enumerate(asked.texts):
            cached = shared if number else 0
            flops = card.flops(shared + len(text), cached, 0) + 2.0 * self.head.parameters
            tokens = shared - cached + len(text)
            found.append(Usage(calls=1, scorer_tokens=tokens, cached_prompt_tokens=cached, flops=flops))
        return found


def _tell(told: asyncio.Future[list[Score]], scores: list[Score]) -> None:
    if not told.done():
        told.set_result(scores)


def _fail(told: asyncio.Future[list[Score]], error: Exception) -> None:
    if not told.done():
        told.set_exception(error)


def partial_card(card: Card, layers: int) -> Card:
    """What reading the first `layers` of a model costs."""
    share = layers / card.layers if card.layers else 1.0
    return dataclasses.replace(card, body_parameters=round(card.body_parameters * share), layers=layers)


class Verifier:
    """P(this path ends right), read where its last line ends. `folder`: a trained head; the shipped one by default;
    `model`: its policy, where that is not found under the name that the head knows. Loaded with the first score.

    A process scorer in the sense of Lightman et al. (2305.20050), trained from outcomes alone (LiLaVe, 2504.16760).
    Cost: one forward pass over the path (of the head's layers), billed as scorer tokens; the question is read once for
    all paths scored together. Raises ConfigError without the torch extra, ModelError without head or weights."""

    name = "verifier"
    needs: frozenset[Ability] = frozenset()
    top_logprobs: int | None = None

    def __init__(self, folder: str = "", model: str = "") -> None:
        self._folder, self._model = FilePath(folder or HEADS / self.name), model
        self._loading = threading.Lock()
        self._reading: Reading | None = None

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        texts = [_text(path) for path in paths]
        wanted = [text for text in texts if text.text]
        if not wanted:
            return [Score(0.0, failure="an empty draft")] * len(paths)
        prompt = tuple(message for message in request.messages if message.role is not Role.ASSISTANT)
        reading = self._reading
        if reading is None:
            reading = await asyncio.to_thread(self._load)
        found = iter(await reading.scores(prompt, wanted))
        return [next(found) if text.text else Score(0.0, failure="an empty draft") for text in texts]

    def _load(self) -> Reading:
        with self._loading:
            if self._reading is None:
                self._reading = Reading(self._folder, self._model)
            return self._reading


class Probe(Verifier):
    """The verifier's cheap sibling: a logistic regression on the states of a middle layer (LiLaVe, 2504.16760)."""

    name = "probe"


def _text(path: Path) -> Text:
    text = "".join(step.text for step in path)
    return Text(text, path[-1].draft.finish is Finish.EOS, max(1, text.strip().count("\n") + 1))
