import dataclasses

import pytest

from poise.errors import ConfigError, DataError, UnknownName
from poise.lab.recipe import Recipe, Source, names, read_recipe, with_knobs
from poise.models.catalogue import CATALOGUE

SOURCE = '[[source]]\ntask = "chain_sum"\ncount = 5\n'


@pytest.fixture
def read(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return read_recipe(str(path))

    return write


@pytest.mark.parametrize("name", names())
def test_every_shipped_recipe_can_be_read(name):
    recipe = read_recipe(name)
    assert recipe.hash
    assert recipe.model in ("default", *CATALOGUE) or recipe.model.count("/") == 1  # or on the hub
    assert any(source.validation for source in recipe.sources)


def test_the_shipped_recipes_hold_the_same_templates_out():
    for name in names():
        for source in read_recipe(name).sources:
            if source.task.startswith("gsm_symbolic"):
                assert source.task == f"gsm_symbolic:templates={'0-84' if source.count else '85-99'}"


def test_a_recipe_is_read_whole(read):
    text = 'tokens = 5000\ntargets = ["q_proj"]\nlearning_rate = 1\n'
    text += SOURCE + "seed = 3\nvalidation = 2\nprompts = { bare = 1, cot = 0.5 }\n"
    source = Source("chain_sum", 5, 3, 2, (("bare", 1.0), ("cot", 0.5)))
    recipe = read(text)
    assert recipe == Recipe(tokens=5000, targets=("q_proj",), learning_rate=1.0, sources=(source,), hash=recipe.hash)
    assert read(text).hash == recipe.hash != read(text + "\n").hash


def test_knobs_are_read_as_their_type_and_keep_the_hash(read):
    recipe = read(SOURCE)
    changed = with_knobs(recipe, {"tokens": "3_000", "learning_rate": "1e-4", "targets": "q_proj+v_proj"})
    wanted = dataclasses.replace(recipe, tokens=3000, learning_rate=1e-4, targets=("q_proj", "v_proj"))
    assert changed == wanted


def test_knobs_of_thoughts_have_their_table_in_front():
    recipe = read_recipe("quiet-star-quick")
    changed = with_knobs(recipe, {"quiet_star.n_ahead": "6", "quiet_star.filler": ".", "tokens": "9"})
    thoughts = dataclasses.replace(recipe.quiet_star, n_ahead=6, filler=".")
    assert changed == dataclasses.replace(recipe, tokens=9, quiet_star=thoughts)
    with pytest.raises(UnknownName, match="did you mean 'n_ahead'"):
        with_knobs(recipe, {"quiet_star.n_ahed": "6"})
    with pytest.raises(ConfigError, match=r"n_ahead: got '6'; allowed: a recipe with a \[quiet_star\] table"):
        with_knobs(read_recipe("quick"), {"quiet_star.n_ahead": "6"})


@pytest.mark.parametrize(
    ("name", "value", "error", "hint"),
    [
        ("token", "5", UnknownName, "did you mean 'tokens'"),
        ("sources", "chain_sum", UnknownName, "knob of the recipe"),
        ("hash", "0", UnknownName, "knob of the recipe"),
        ("tokens", "many", ConfigError, "tokens: got 'many'; allowed: a whole number"),
        ("tokens", "-1", ConfigError, "tokens: got -1; allowed: above 0"),
        ("learning_rate", "nan", ConfigError, "learning_rate"),
        ("decay", "1.5", ConfigError, "decay"),
        ("warmup", "-1", ConfigError, "warmup"),
    ],
)
def test_knobs_that_cannot_work_are_named(read, name, value, error, hint):
    with pytest.raises(error) as caught:
        with_knobs(read(SOURCE), {name: value})
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        ("tokns = 5\n" + SOURCE, UnknownName, "did you mean 'tokens'"),
        ("sources = []\n" + SOURCE, UnknownName, "did you mean 'source'"),
        ("hash = 'x'\n" + SOURCE, UnknownName, "hash"),
        ("tokens = 'x'\n" + SOURCE, ConfigError, "mine.tokens"),
        ("rank = 0\n" + SOURCE, ConfigError, "rank: got 0"),
        ("rank = true\n" + SOURCE, ConfigError, "mine.rank"),
        ("", ConfigError, "at least one [[source]]"),
        ("source = 3", ConfigError, "[[source]] tables"),
        ("source = [3]", ConfigError, "source 1"),
        ("[[source]]\ntask = 'chain_sum'\n", ConfigError, "task and count"),
        ("[[source]]\ntask = 'chain_sum'\ncount = 0\nvalidation = 3\n", ConfigError, "examples to train on"),
        (SOURCE + "[[source]]\ntask = 'gcd'\ncount = -1\n", ConfigError, "source.count: got -1"),
        (SOURCE + "validate = 3\n", UnknownName, "did you mean 'validation'"),
        (SOURCE + "prompts = { bear = 1 }\n", UnknownName, "did you mean 'bare'"),
        (SOURCE + "prompts = { bare = -1 }\n", ConfigError, "source.prompts.bare"),
        (SOURCE + "prompts = { bare = 0 }\n", ConfigError, "at least one weight"),
        (SOURCE + "prompts = { bare = 'x' }\n", ConfigError, "source 1.prompts.bare"),
        (SOURCE + "prompts = ['bare']\n", ConfigError, "source 1.prompts"),
        ("tokens = ", DataError, "TOML"),
    ],
)
def test_what_cannot_work_is_refused_with_a_hint(read, text, error, hint):
    with pytest.raises(error) as caught:
        read(text)
    assert hint in str(caught.value)


def test_a_recipe_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'quick'"):
        read_recipe("quik")
    with pytest.raises(DataError, match="no such file"):
        read_recipe(str(tmp_path / "none.toml"))
