"""The checkpoint that ships thinks, and it helps: on its own questions, and through the command line."""

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from poise.cli import app
from poise.evals.stats import mcnemar
from poise.lab.batches import encoded
from poise.lab.data import examples_of
from poise.lab.quiet_star.judging import judged
from poise.lab.recipe import Recipe, Source
from poise.models.quiet_star.files import folder_of, load_quiet_star

SILENT = (("silent", 1.0),)
TASK = "basic_arithmetic:min_terms=3,max_terms=3,min_digits=1,max_digits=1"


def test_more_answers_are_right_with_thoughts_than_without():
    source = Source(TASK, 64, 4500, prompts=SILENT, values=True)
    model, base = load_quiet_star(folder_of(""))
    found = judged(model, encoded(examples_of(Recipe(sources=(source,)), {}).training, base.tokenizer, 128))
    gained = sum(each.mixed_right and not each.base_right for each in found)
    lost = sum(each.base_right and not each.mixed_right for each in found)
    assert gained > lost
    assert mcnemar(gained, lost) < 0.05
    assert sum(each.base - each.mixed for each in found) > 0


def test_it_is_asked_like_any_engine():
    words = [
        "ask",
        "Calculate 3 * 4 - 5.",
        "--engine",
        "quiet-star@exact",
        "--prompt",
        "silent",
        "--strategy",
        "direct",
    ]
    said = CliRunner().invoke(app, [*words, "--explain"])
    assert said.exit_code == 0, said.output
    assert "thought" in said.output
