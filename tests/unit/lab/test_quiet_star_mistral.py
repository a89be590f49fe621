"""The recipe for Mistral, on a tiny one: from text to thoughts, drawn and judged, and commands that can be given."""

import dataclasses
import shlex

import pytest
import typer
from commands import output_of
from tiny_lm import mistral, tokenizer

from poise.cli import app
from poise.core import Draft, Finish, Kind, Message, Request, Role, Sampling, Step
from poise.engines.quiet_star_lm import QuietStarLM
from poise.engines.torch_lm import TorchLM
from poise.lab.recipe import FOLDER, read_recipe, with_knobs
from poise.lab.session import prepared
from poise.models.dense import load_dense
from poise.models.turns import prompt_ids
from poise.scorers import Scorers

NAME = "quiet-star-mistral"
SMALL = {"tokens": 96, "batch_tokens": 64, "longest": 32, "rank": 2, "quiet_star.n_ahead": 4}
SMALL |= {"quiet_star.n_ahead_talk": 2, "quiet_star.initial_start_token": "a", "quiet_star.initial_end_token": "b"}
SUM = (Message(Role.USER, "3 + 4?"),)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base model as the hub has it: with a sliding window, and no chat template."""
    folder, words = tmp_path_factory.mktemp("base"), tokenizer()
    words.chat_template = None
    mistral(sliding_window=64).save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


def told_commands():
    """The commands in the recipe's comments."""
    lines = (FOLDER / f"{NAME}.toml").read_text().splitlines()
    said = "\n".join(line.removeprefix("#").strip() for line in lines if line.startswith("#     "))
    return [shlex.split(line)[1:] for line in said.replace("\\\n", " ").splitlines()]


def test_the_commands_it_tells_of_can_be_given():
    found = told_commands()
    assert [words[0] for words in found] == ["lab", "ask", "study", "ask"]
    for words in found:
        command, rest = typer.main.get_command(app), words
        context = command.make_context("poise", list(rest))
        while hasattr(command, "commands"):
            _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            context = command.make_context(command.name, list(rest), parent=context)
        if scorer := context.params.get("scorer"):
            assert Scorers()[scorer].name == "prm"


@pytest.fixture
def trained(base, tmp_path, uncompiled):
    """What its recipe makes of it, and the folder of that."""
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"{a} and {a} make {2 * a}, as {a} times two is {2 * a}." for a in range(20)))
    recipe = with_knobs(read_recipe(NAME), SMALL | {"model": base})
    recipe = dataclasses.replace(recipe, sources=(dataclasses.replace(recipe.sources[0], validation=2),))
    with prepared(recipe, tmp_path / "run", {"text": str(text)}) as session:
        assert session.training.objective._fused is not None  # as a llama
        assert session.train()
        made = session.export()
    assert made.base.architecture == "mistral"
    return str(made.folder)


async def test_it_trains_and_thinks_and_is_judged(base, trained):
    engine = QuietStarLM(trained, base=base)
    new = thought = 0
    async for delta in engine.stream(SUM, Sampling(1.0, max_tokens=12, seed=3)):
        new, thought = new + delta.tokens, thought + delta.thought_tokens
    await engine.aclose()
    assert 0 < new <= 12
    assert thought == new * 3
    scorer = Scorers()[f"prm(model={base},mark=%)"]
    right, wrong = (Step(1, 0, Draft(line, Finish.EOS, 3)) for line in ("3 + 4 = 7", "3 + 4 = 8"))
    scores = await scorer.score(Request.ask("3 + 4?", Kind.NUMBER), [(right,), (wrong,)])
    assert all(0 < score.value < 1 and not score.failure for score in scores)
    assert scores[0].value != scores[1].value


def test_the_study_runs_on_it_by_one_command(base, trained, tmp_path):
    """With both engines, whatever such a model says; and a second time from what is there."""
    sums = tmp_path / "sums.jsonl"
    sums.write_text('{"question": "3 + 4?", "answer": "7", "kind": "number"}\n')
    words = (
        "study",
        "inference-scaling-vs-reasoning",
        trained,
        "--model",
        base,
        "--quick",
        "--run",
        tmp_path / "study",
    )
    tasks = ("--task", sums, "--ablation-task", sums, "--max-tokens", 4, "--scorer", "mean_logprob")
    printed = output_of(app, *words, *tasks, "--prompt", "bare")
    for told in ("Here", "As published", "Ablations", "never_taught", "flaw_leaf", "study.md", "study.html"):
        assert told in printed
    again = output_of(app, *words, *tasks, "--prompt", "bare")
    assert again[again.index("Here") :] == printed[printed.index("Here") :]


def test_without_a_chat_template_it_is_asked_plainly(base):
    words = load_dense(base).tokenizer
    asked = prompt_ids(words, (Message(Role.SYSTEM, "Add."), *SUM, Message(Role.ASSISTANT, "It is")))
    assert words.decode(asked) == "<s>Add.\n3 + 4?\nIt is"


def test_the_sliding_window_bounds_the_context(base):
    assert TorchLM(base, context=500).context == 64
