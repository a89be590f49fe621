"""Scorers that read a policy's hidden states: the verifier (a process scorer) and the probe (cheaper, fewer layers).

Trained by `poise lab verifier` on outcomes of the policy's own draws, read out where lines end (see
`poise.lab.verifier`). Both need PyTorch, which is loaded with the first score and not before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from poise.aside import aside
from poise.core import Ability, Finish, Path, Request, Role, Score
from poise.errors import ConfigError
from poise.models.extra import require_torch
from poise.models.turns import Text

if TYPE_CHECKING:
    from poise.models.head import Head
    from poise.scoring.reading import Reading

HEADS = FilePath(__file__).parent.parent / "models" / "heads"
_EMPTY = Score(0.0, failure="an empty draft")


class Verifier:
    """P(this path ends right), read where its last line ends. `folder`: a trained head; the shipped one by default;
    `model`: its policy, where that is not found under the name that the head knows. Loaded with the first score.

    A process scorer in the sense of Lightman et al. (2305.20050), trained from outcomes alone (LiLaVe, 2504.16760).
    Any engine may have drawn the text: it is read anew, with the policy's own weights. Cost: one forward pass over the
    path (of the head's layers), billed as scorer tokens; the question is read once for all paths scored together.
    Raises ConfigError without the torch extra, ModelError without head or weights."""

    name = "verifier"
    needs: frozenset[Ability] = frozenset()
    top_logprobs: int | None = None
    apart = True

    def __init__(self, folder: str = "", model: str = "") -> None:
        self._folder, self._model = FilePath(folder) if folder else HEADS / self.name, model
        self._loading = threading.Lock()
        self._head: Head | None = None
        self._reading: Reading | None = None

    def ready(self) -> None:
        """Raises ConfigError without the torch extra or for a head of another kind, ModelError where there is none that
        can be read, and either for a policy that nobody can know by its name. Reads the head, once; the policy is read
        with the first score."""
        self._ready_head()

    async def score(self, request: Request, paths: Sequence[Path]) -> list[Score]:
        told = [path for path in paths if any(step.text for step in path)]
        if not told:
            return [_EMPTY] * len(paths)
        prompt = tuple(message for message in request.messages if message.role is not Role.ASSISTANT)
        reading = self._reading
        if reading is None:
            reading = await aside(self._load)
        found = iter(await reading.scores(prompt, told))
        return [next(found) if any(step.text for step in path) else _EMPTY for path in paths]

    def _load(self) -> Reading:
        with self._loading:
            if self._reading is None:
                head = self._ready_head()
                from poise.scoring.reading import Reading

                self._reading = Reading(head, self._model)
            return self._reading

    def _ready_head(self) -> Head:
        if self._head is not None:
            return self._head
        require_torch(f"scorer {self.name}")
        from poise.models.find import check_name
        from poise.models.head import load_head

        head = load_head(self._folder)
        if head.card.kind not in (Verifier.name, Probe.name):
            raise ConfigError(f"scorer {self.name}", f"a {head.card.kind} head", "the head of a verifier or a probe")
        check_name(self._model or head.card.model)
        self._head = head
        return head


class Probe(Verifier):
    """The verifier's cheap sibling: a logistic regression on the states of a middle layer (LiLaVe, 2504.16760)."""

    name = "probe"


def lines_of(text: str) -> int:
    """How many lines of a path are written: the depth that a head is calibrated by."""
    return max(1, text.strip().count("\n") + 1)


def text_of(path: Path) -> Text:
    """A path as it is read."""
    text = "".join(step.text for step in path)
    return Text(text, path[-1].draft.finish is Finish.EOS, lines_of(text))
