"""Reading paths with a policy: what the verifier and the probe load with their first score. Needs PyTorch."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from poise.aside import aside, tell
from poise.core import Path, Prompt, Score
from poise.costs import Card, Usage
from poise.errors import ConfigError
from poise.models.head import Head, features_at
from poise.models.reader import Asked, load_reader, read
from poise.models.turns import Text, beyond, prompt_ids, text_ids
from poise.scoring.verifier import text_of


@dataclass(frozen=True, slots=True)
class Job:
    """Texts of one request, waiting to be read."""

    prompt: Prompt
    texts: tuple[Text, ...]
    told: asyncio.Future[list[Score]]


class Reading:
    """A policy and a head in memory, and the thread-safe queue that batches what many requests want scored at once.
    `model`: the policy, where it is not found under the name that the head knows. Raises ConfigError for a policy that
    the head was not trained on, and as `load_reader` does."""

    def __init__(self, head: Head, model: str = "") -> None:
        self.head = head
        self.reader = load_reader(model or head.card.model)
        self.card = self.reader.card
        if max(head.card.layers, default=0) > self.card.layers or head.mean.size != head.card.features(self.card.width):
            raise ConfigError("model", self.card.name, f"the policy of this head for {head.card.model}")
        self._queue, self._working = threading.Lock(), threading.Lock()
        self._waiting: list[Job] = []

    async def scores(self, prompt: Prompt, paths: Sequence[Path]) -> list[Score]:
        """Scores of paths with text in them that continue one prompt. What arrives while something is being read waits,
        and is then read in one pass."""
        job = Job(prompt, tuple(text_of(path) for path in paths), asyncio.get_running_loop().create_future())
        with self._queue:
            self._waiting.append(job)
        await aside(self._drain)
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
                    tell(job.told, partial(job.told.set_exception, error))
            else:
                for job, scores in zip(jobs, found, strict=True):
                    tell(job.told, partial(job.told.set_result, scores))

    def read(self, jobs: Sequence[Job]) -> list[list[Score]]:
        """Scores per job: one forward pass for all prompts, one for all texts; failed ones of what does not fit into
        the model."""
        tokenizer, room = self.reader.tokenizer, self.reader.llama.shape.window
        found: list[list[Score]] = []
        asked, depths, fitting = list[Asked](), list[int](), list[tuple[int, int]]()
        for number, job in enumerate(jobs):
            prompt, texts = prompt_ids(tokenizer, job.prompt), list[list[int]]()
            found.append([])
            for place, text in enumerate(job.texts):
                ids = text_ids(tokenizer, text)
                found[-1].append(Score(0.0, failure=beyond(len(prompt) + len(ids), room)))
                if not found[-1][-1].failure:
                    texts.append(ids)
                    depths.append(text.lines)
                    fitting.append((number, place))
            asked += [Asked(prompt, texts)] if texts else []
        for (number, place), score in zip(fitting, self._scored(asked, depths), strict=True):
            found[number][place] = score
        return found

    def _scored(self, asked: Sequence[Asked], depths: Sequence[int]) -> list[Score]:
        if not asked:
            return []
        card = self.head.card
        parts = read(self.reader.llama, asked, card.layers, card.surprise)
        states = [state.float().numpy() for part in parts for state in part]
        rows = [features_at(state, np.array([len(state) - 1]), card.pooled, card.surprise) for state in states]
        values = self.head.probability(np.concatenate(rows), np.array(depths))
        bills = [usage for each in asked for usage in self._bill(each)]
        return [Score(float(value), usage) for value, usage in zip(values, bills, strict=True)]

    def _bill(self, asked: Asked) -> list[Usage]:
        """Usage per text: the first pays for the prompt, the others find it read."""
        head, shared = self.head.card, len(asked.prompt)
        card = partial_card(self.card, head.depth(self.card.layers))
        each = 2.0 * card.width * card.vocabulary if head.surprise else 0.0  # the model's own head, for every token
        found = []
        for number, text in enumerate(asked.texts):
            cached = shared if number else 0
            flops = card.flops(shared + len(text), cached, 0) + each * len(text) + 2.0 * self.head.parameters
            tokens = shared - cached + len(text)
            found.append(Usage(calls=1, scorer_tokens=tokens, cached_prompt_tokens=cached, flops=flops))
        return found


def partial_card(card: Card, layers: int) -> Card:
    """What reading the first `layers` of a model costs."""
    share = layers / card.layers if card.layers else 1.0
    return dataclasses.replace(card, body_parameters=round(card.body_parameters * share), layers=layers)
