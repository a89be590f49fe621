"""A tuned prompt as a file, for `--prompt`, for arms, and for `poise prompts`."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from poise.evals.stats import wilson
from poise.prompts import Measurement
from poise.tune.archive import Measured
from poise.tune.placing import BETWEEN
from poise.tune.shortlist import By

if TYPE_CHECKING:
    from poise.tune.step import StepSettings

GRADIENTS = "gradients over reasoning, Das et al. 2024, arXiv 2412.09722, with races on fresh answers"
PUBLISHED = "gradients over reasoning as published, Das et al. 2024, arXiv 2412.09722, judged on fresh answers"
CONTROLS = "edits of one token without a gradient, with races on fresh answers"
LENGTHS = "phrases about length, sentences and numbers alone, with races on fresh answers"
REFLECTION = "reflective prompt evolution, GEPA, Agrawal et al. 2025, arXiv 2507.19457, judged on fresh answers"
_BRACED = re.compile(r"\{([^{}]*)\}")


def source_of(step: StepSettings) -> str:
    """How steps that are taken so find a prompt."""
    if step.by is By.GREATER:
        return PUBLISHED
    if not step.tries:
        return LENGTHS
    return GRADIENTS if step.slopes else CONTROLS


def prompt_file(
    id: str,
    text: str,
    parent: str,
    measured: tuple[Measured, str, str] | None = None,
    source: str = GRADIENTS,
    version: int = 1,
) -> str:
    """The file of a prompt that stands behind the question. `parent`: what it was made from, as "ID HASH"; `measured`:
    the outcome on the rows that judge, the model and the task; `source`: how it was found. Braces of the text are
    written so that nothing is filled in."""
    lines = ["---", f"id: {id}", f"version: {version}", "description: Tuned by poise tune; put behind the question."]
    lines += [f"source: {source}", f"parent: {parent}"]
    if measured:
        one, model, task = measured
        share = wilson(sum(one.right), len(one.right))
        told = Measurement(model, share.mean, share.low, share.high, one.cost, len(one.right), task)
        lines.append(f"measured {model.replace(':', ' ')}: {told.told()}")
    body = _BRACED.sub(r"{{\1}}", text)
    return "\n".join([*lines, "---", "# user", f"{{question}}{BETWEEN}{body}", ""])


def beginning(text: str) -> str:
    """A text that was no file, as a parent: the initial prompt of a run, and its hash."""
    return f"initial {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def tidy(text: str) -> str:
    """A text as such a file can hold it: line breaks of one kind, none at the ends, and a heading one level down where
    it would open a section."""
    lines = (f"#{line}" if line.startswith("# ") else line for line in text.strip().splitlines())
    return "\n".join(lines)
