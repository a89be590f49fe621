"""A training's folder: checkpoints, loss curve (JSON lines and TensorBoard), and the recipe it belongs to.

recipe.json      the settings; only `tokens` may change between sittings
checkpoint.pt    where the training is; replaced whole or not at all
level.pt         the last checkpoint before the learning rate began to fall: where a training of more tokens goes on
curve.jsonl      one line a step, and one for each look at the validation losses
tensorboard/     the same curves, for TensorBoard (with the report extra)
lock             held by the one process that trains here
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, StoreError
from poise.lab.recipe import Recipe
from poise.store.lock import Lock


@dataclass(frozen=True, slots=True)
class Point:
    """One step of the loss curve; `tokens` and `seconds` are counted from the very start. `told`: what else there is to
    say of a step, by name."""

    step: int
    tokens: int
    loss: float
    learning_rate: float
    seconds: float
    told: Mapping[str, float] = dataclasses.field(default_factory=dict)


class TrainingRun:
    """One training's folder, held until `close`. Raises ConfigError for a folder that cannot be written or holds a
    training of other settings, StoreError while another process trains there."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self._writer: Any = None
        self._step = 0
        self._held = contextlib.ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(Lock(folder / "lock"))
        except OSError as error:
            raise ConfigError("run", str(folder), f"a folder that can be written ({error.strerror})") from None
        try:
            self._claim(json.loads(json.dumps(dataclasses.asdict(recipe), default=lambda choice: choice.value)))
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> TrainingRun:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _claim(self, settings: Mapping[str, Any]) -> None:
        """Write the settings down, or check that they are those of the training that goes on here. (Without a
        checkpoint none does: a first try that failed may be mended.)"""
        mine = self.folder / "recipe.json"
        if mine.exists() and (self.folder / "checkpoint.pt").exists():
            try:
                begun = dict(json.loads(mine.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                raise StoreError(f"{mine}: not the settings of a training; use another folder") from None
            if begun == settings:
                return
            other = [
                name for name in settings if name not in ("tokens", "hash") and begun.get(name) != settings.get(name)
            ]
            if other:
                allowed = f"the settings of the training in {self.folder}, or another folder"
                raise ConfigError(", ".join(other), [settings[name] for name in other], allowed)
        self._replace("recipe.json", json.dumps(settings, indent=1))

    def checkpoint(self) -> dict[str, Any] | None:
        """The checkpoint to go on from, if there is one; what was recorded after it is forgotten.

        That is the last one - or, where the recipe's `tokens` changed since, the last before the learning rate began to
        fall. StoreError when it is broken, ConfigError when there is none to go on from with so many tokens."""
        saved = self._load("checkpoint.pt")
        if saved and not self._fits(saved):
            was = saved["of_tokens"]
            saved = self._load("level.pt")
            if saved is None or saved["tokens"] >= self.recipe.tokens:
                least = f", more than {saved['tokens']}" if saved else ""
                raise ConfigError("tokens", self.recipe.tokens, f"{was} as before{least}, or another folder")
        self._cut(saved["step"] if saved else 0)
        return saved

    def _fits(self, saved: Mapping[str, Any]) -> bool:
        """Whether a training of the recipe's tokens would have come by this checkpoint."""
        shorter = min(saved["of_tokens"], self.recipe.tokens)
        return bool(saved["of_tokens"] == self.recipe.tokens or saved["tokens"] <= (1 - self.recipe.decay) * shorter)

    def _load(self, name: str) -> dict[str, Any] | None:
        import torch

        path = self.folder / name
        if not path.exists():
            return None
        try:
            saved: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        except Exception as error:  # torch raises whatever the broken bytes lead to
            said = f"cannot be read ({type(error).__name__}: {error}); delete it to start anew"
            raise StoreError(f"{path}: {said}") from error
        return saved

    def save(self, snapshot: Mapping[str, Any], level: bool = False) -> None:
        """Write the checkpoint; the one before it stays until the new one is whole. `level`: the learning rate has not
        begun to fall, so a training of more tokens could go on from here. StoreError when it cannot be written."""
        import torch

        draft, twin = self.folder / "checkpoint.tmp", self.folder / "level.tmp"
        try:
            torch.save(dict(snapshot), draft)
            if level:
                shutil.copyfile(draft, twin)
                os.replace(twin, self.folder / "level.pt")
            os.replace(draft, self.folder / "checkpoint.pt")
        except (OSError, RuntimeError) as error:
            for half in (draft, twin):
                with contextlib.suppress(OSError):
                    half.unlink()
            raise StoreError(f"{draft}: cannot be written: {error}; the checkpoint before it is kept") from error

    def record(self, point: Point) -> None:
        """Append a step to the curve."""
        row = dataclasses.asdict(point)
        self._append({"kind": "step"} | row.pop("told") | row)
        for name, value in point.told.items():
            self._scalar(f"training/{name}", value, point.step)
        self._scalar("loss/training", point.loss, point.step)
        self._scalar("learning_rate", point.learning_rate, point.step)

    def record_validation(self, step: int, tokens: int, losses: Mapping[str, float], seconds: float) -> None:
        """Append the validation losses."""
        self._append({"kind": "validation", "step": step, "tokens": tokens, "losses": dict(losses), "seconds": seconds})
        for name, loss in losses.items():
            self._scalar(f"loss/{name}", loss, step)

    def curve(self) -> list[dict[str, Any]]:
        """Everything recorded, in order; a torn line is left out."""
        path = self.folder / "curve.jsonl"
        found = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def close(self) -> None:
        """Flush TensorBoard's file, and let others train here."""
        if self._writer:
            self._writer.close()
        self._writer = None
        self._held.close()

    def _cut(self, step: int) -> None:
        """Forget what was recorded after the checkpoint: it will happen again."""
        self._step = step
        if (self.folder / "curve.jsonl").exists():
            kept = [row for row in self.curve() if row["step"] <= step]
            self._replace("curve.jsonl", "".join(json.dumps(row) + "\n" for row in kept))

    def _append(self, row: Mapping[str, Any]) -> None:
        with self._stored(), (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _replace(self, name: str, text: str) -> None:
        draft = self.folder / f"{name}.tmp"
        with self._stored():
            draft.write_text(text, encoding="utf-8")
            os.replace(draft, self.folder / name)

    @contextlib.contextmanager
    def _stored(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.folder}: {error.strerror or error}; the last checkpoint is kept") from error

    def _scalar(self, name: str, value: float, step: int) -> None:
        if self._writer is None:
            try:
                from tensorboardX import SummaryWriter
            except ImportError:
                self._writer = False
            else:
                self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self._step + 1)
        if self._writer:
            self._writer.add_scalar(name, value, step)
