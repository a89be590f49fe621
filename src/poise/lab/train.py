"""Supervised fine-tuning of an adapter: a plain PyTorch loop, because what matters on a CPU - batches by tokens, a
fused forward pass, a loss without whole logits, checkpoints that resume - is what a general trainer hides. `peft` owns
what others must be able to read: where the adapter sits, how it starts, and the files it is saved in.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from poise.errors import ConfigError, TrainingError
from poise.lab.batches import Encoded, Packed, batches, block_mask, packed, packed_lines
from poise.lab.objective import next_token_loss
from poise.lab.recipe import Recipe
from poise.lab.training_run import Point, TrainingRun
from poise.models.llama import LayerForward, Llama, compiled, hidden_states, layer_forward, view_of
from poise.models.quiet import quiet

logger = logging.getLogger(__name__)

VALIDATE_SECONDS, SAVE_SECONDS = 900.0, 240.0
_TRIM_STEPS = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is; `loss` is the running mean. `seconds` counts this invocation."""

    step: int
    tokens: int
    of_tokens: int
    loss: float
    validation: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What a batch gave: the loss to go down, the tokens that were read, and what else is worth a curve."""

    loss: torch.Tensor
    filled: int
    told: Mapping[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """What a training minimises. `packs`: whether a line may hold several examples."""

    packs: bool

    def taken(self, lines: Sequence[Sequence[Encoded]], step: int) -> Taken:
        """The loss of a batch, with gradient; `step` seeds what is left to chance."""
        ...

    def validated(self, lines: Sequence[Sequence[Encoded]]) -> Mapping[str, tuple[float, float]]:
        """Losses of held-out lines, and over how many targets, by what their names end in."""
        ...


@dataclass(slots=True)
class Training:
    """A training in memory. `tokens`, `step` and `seconds`: done so far, over all sittings. `torn`: a step is being
    taken, so what is here is neither the state before it nor the one after. `objective`: next tokens, unless told."""

    recipe: Recipe
    adapted: Any
    optimiser: Any
    objective: Objective | None = None
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    validation: dict[str, float] = field(default_factory=dict)
    torn: bool = False

    @property
    def finished(self) -> bool:
        """Whether the recipe's tokens are done."""
        return self.tokens >= self.recipe.tokens

    @property
    def parameters(self) -> list[Any]:
        """Everything that is trained."""
        return [parameter for group in self.optimiser.param_groups for parameter in group["params"]]

    @property
    def level(self) -> bool:
        """Whether the learning rate of the next step is not falling yet."""
        return self.tokens <= (1 - self.recipe.decay) * self.recipe.tokens


def adapted(model: Any, recipe: Recipe) -> Any:
    """The model with the LoRA adapter of the recipe (peft), fresh or as it starts, in float32 beside weights that stay
    as they are. Raises ConfigError for targets that the model does not have, and for a start that does not fit."""
    from peft import LoraConfig, get_peft_model

    from poise.lab.start import start_from

    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.targets),
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
    )
    try:
        with quiet():
            wrapped = get_peft_model(model, config, autocast_adapter_dtype=True)
    except ValueError as error:
        raise ConfigError("targets", recipe.targets, f"layers of the model ({error})") from error
    if recipe.start:
        start_from(wrapped, recipe)
    return wrapped


def begin(model: Any, recipe: Recipe, run: TrainingRun) -> Training:
    """A training at its start, or where its last checkpoint was. The model is changed in place: LoRA layers are put in.
    Raises ConfigError for targets that it does not have or tokens that the folder's training cannot go on to,
    StoreError for a broken checkpoint."""
    wrapped = adapted(model, recipe)
    return restored(Training(recipe, wrapped, optimiser_of(wrapped, recipe)), run)


def optimiser_of(wrapped: Any, recipe: Recipe, *more: dict[str, Any]) -> torch.optim.Optimizer:
    """AdamW over what of a model is trained, and over `more` groups; the `share` of a group multiplies its rate."""
    groups: list[dict[str, Any]] = [{"params": [p for p in wrapped.parameters() if p.requires_grad]}, *more]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.99))


def restored(training: Training, run: TrainingRun) -> Training:
    """The training where its last checkpoint was, if there is one."""
    saved = run.checkpoint()
    if saved:
        for parameter, values in zip(training.parameters, saved["parameters"], strict=True):
            parameter.data.copy_(values)
        training.optimiser.load_state_dict(saved["optimiser"])
        training.step, training.tokens, training.seconds = saved["step"], saved["tokens"], saved["seconds"]
        training.loss, training.validation = saved["loss"], saved["validation"]
    return training


def train(
    training: Training,
    rows: Sequence[Encoded],
    held_out: Mapping[str, Sequence[Encoded]],
    run: TrainingRun,
    minutes: float | None = None,
    watch: Callable[[Progress], None] = lambda progress: None,
) -> bool:
    """Train until the recipe's tokens are done (True) or `minutes` are over (False: call again, from the checkpoint).
    `watch` is called after each step; a KeyboardInterrupt, also one that `watch` raises, saves first and goes on up.

    Raises TrainingError when the loss is no number and StoreError when the disk is full; the last good checkpoint
    stays. ConfigError where there are no rows. Cost: about 4 flops per parameter and token, because the weights beside
    the adapter get no gradient."""
    if training.finished:
        return True
    recipe, start, before = training.recipe, time.monotonic(), training.seconds
    saved = validated = start
    forward = training.objective or Forward(training.adapted, recipe.longest)
    stream = batches(rows, recipe.batch_tokens, recipe.longest, recipe.seed, forward.packs)
    try:
        for lines in itertools.islice(stream, training.step, None):
            if training.finished or (minutes and time.monotonic() - start > 60 * minutes):
                break
            level = training.level
            _one_step(training, forward, lines, run)
            now = time.monotonic()
            training.seconds = before + now - start
            if now - validated > VALIDATE_SECONDS:
                _validate(training, forward, held_out, run)
                validated = now
            if now - saved > SAVE_SECONDS or level != training.level:
                run.save(snapshot(training), level)
                saved = now
            if training.step % _TRIM_STEPS == 0:
                _trim()
            watch(_progress(training, now - start))
        _validate(training, forward, held_out, run)
    except KeyboardInterrupt:
        if not training.torn:
            run.save(snapshot(training), training.level)
        raise
    training.seconds = before + time.monotonic() - start
    run.save(snapshot(training), training.level)
    watch(_progress(training, time.monotonic() - start))
    return training.finished


class Forward:
    """The loss of next tokens: by the fused pass for a llama, by the model's own for any other. `length` of lines."""

    packs = True

    def __init__(self, model: Any, length: int = 0) -> None:
        self.model, self.length = model, length
        self.llama: Llama | None = view_of(model)
        self.fused: LayerForward = compiled() if self.llama else layer_forward

    def loss(self, lines: Sequence[Sequence[Encoded]], length: int) -> tuple[torch.Tensor, Packed]:
        """Mean cross-entropy over the answers' tokens."""
        batch = packed(lines, length)
        head = self.model.get_output_embeddings().weight
        tokens, positions, places, targets = (
            part.to(head.device) for part in (batch.tokens, batch.positions, batch.places, batch.targets)
        )
        mask = block_mask(batch.segments).to(head.device)
        if self.llama:
            hidden = hidden_states(self.llama, tokens, positions, mask, self.fused)
        else:
            body = self.model.get_base_model().base_model
            said = body(input_ids=tokens, position_ids=positions, attention_mask=mask.to(head.dtype), use_cache=False)
            hidden = said.last_hidden_state
        return next_token_loss(hidden.flatten(0, 1)[places], targets, head), batch

    def taken(self, lines: Sequence[Sequence[Encoded]], step: int) -> Taken:
        loss, batch = self.loss(lines, self.length)
        return Taken(loss, batch.filled)

    def validated(self, lines: Sequence[Sequence[Encoded]]) -> Mapping[str, tuple[float, float]]:
        """What a backward pass would need is kept until here, as in training, because the layers are compiled for that;
        it is let go before the next batch, which needs the room."""
        loss, batch = self.loss(lines, self.length)
        return {"": (float(loss.detach()), len(batch.targets))}


def rate(recipe: Recipe, step: int, tokens: int) -> float:
    """The learning rate: linear warm-up over steps, then level, then straight down to zero over the last `decay` of the
    tokens (warm-up, stable, decay: Hu et al. 2024, arXiv 2404.06395)."""
    warm = min(1.0, (step + 1) / max(recipe.warmup, 1))
    left = max(0.0, recipe.tokens - tokens) / (recipe.decay * recipe.tokens)
    return recipe.learning_rate * warm * min(1.0, left)


def _one_step(training: Training, forward: Objective, lines: Sequence[Sequence[Encoded]], run: TrainingRun) -> None:
    recipe, optimiser = training.recipe, training.optimiser
    for group in optimiser.param_groups:
        group["lr"] = rate(recipe, training.step, training.tokens) * group.get("share", 1.0)
    taken = forward.taken(lines, training.step)
    taken.loss.backward()  # type: ignore[no-untyped-call]
    length = float(torch.nn.utils.clip_grad_norm_(training.parameters, recipe.clip))
    value = float(taken.loss.detach())
    if not (math.isfinite(value) and math.isfinite(length)):
        raise TrainingError(
            f"step {training.step + 1}: the loss is {value} and its gradient's length {length}; the checkpoint before "
            "is kept. Lower learning_rate or raise warmup, in another folder"
        )
    training.torn = True
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    training.step += 1
    training.tokens += taken.filled
    training.torn = False
    training.loss = value if math.isnan(training.loss) else 0.97 * training.loss + 0.03 * value
    lr = optimiser.param_groups[0]["lr"]
    run.record(Point(training.step, training.tokens, value, lr, training.seconds, taken.told))


def _validate(
    training: Training, forward: Objective, held_out: Mapping[str, Sequence[Encoded]], run: TrainingRun
) -> None:
    length = training.recipe.longest
    size = max(1, training.recipe.batch_tokens // length)
    for name, rows in held_out.items():
        sums: dict[str, list[float]] = {}
        lines = packed_lines(rows, length) if forward.packs else [[row] for row in rows]
        lines += [[]] * (-len(lines) % size)  # one shape, so that nothing is compiled anew
        for first in range(0, len(lines), size):
            for which, (loss, targets) in forward.validated(lines[first : first + size]).items():
                total = sums.setdefault(which, [0.0, 0.0])
                total[0] += loss * targets
                total[1] += targets
        training.validation |= {name + which: total / count for which, (total, count) in sums.items() if count}
    _trim()
    run.record_validation(training.step, training.tokens, training.validation, training.seconds)


def _trim() -> None:
    """Give freed memory back to the system, where the C library is glibc: its heap falls to pieces under tensors of so
    many sizes, and after 150 steps of a model of 135 M parameters held 20 GB for the 4 GB that a step needs."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def snapshot(training: Training) -> dict[str, Any]:
    """What a checkpoint holds."""
    return {
        "parameters": [p.data for p in training.parameters],
        "optimiser": training.optimiser.state_dict(),
        "step": training.step,
        "tokens": training.tokens,
        "seconds": training.seconds,
        "loss": training.loss,
        "validation": dict(training.validation),
        "of_tokens": training.recipe.tokens,
    }


def _progress(training: Training, seconds: float) -> Progress:
    return Progress(
        training.step, training.tokens, training.recipe.tokens, training.loss, dict(training.validation), seconds
    )
