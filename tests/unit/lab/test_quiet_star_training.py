"""Trainings of thoughts: resumed as if never stopped, exported, taken up again, and refused where they cannot be."""

import dataclasses
import math

import pytest
import tiny
import torch

from poise.errors import ConfigError, TrainingError
from poise.lab import recipe as recipes
from poise.lab import train as lab
from poise.lab.quiet_star import training as thoughts
from poise.lab.quiet_star.settings import QuietStarSettings
from poise.lab.training_run import TrainingRun
from poise.models.quiet_star.files import save_numbers

pytestmark = pytest.mark.usefixtures("uncompiled")
ROWS = tiny.rows()
HELD = {"pairs": tiny.rows(12, seed=1)}
SMALL = QuietStarSettings(n_ahead=4, n_ahead_talk=2, n_passes=2, head_learning_rate=2e-2)


def recipe(settings=SMALL, **knobs):
    return tiny.recipe(**{"quiet_star": settings, "tokens": 900, "batch_tokens": 128} | knobs)


def sit(folder, how, watch=lambda progress: None):
    with TrainingRun(folder, how) as run:
        training = thoughts.begin(tiny.model(), tiny.tokenizer(), how, run)
        finished = lab.train(training, ROWS, HELD, run, None, watch)
        return finished, training, run.curve()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("poise.lab.quiet_star.training.compiled", lambda: None)
        return sit(folder, recipe())


def steps(curve):
    return [row for row in curve if row["kind"] == "step"]


def test_it_learns_with_and_without_thoughts_and_tells_of_it(whole):
    finished, training, curve = whole
    assert finished
    first, last = steps(curve)[0], steps(curve)[-1]
    assert last["base"] < first["base"] - 0.2
    assert last["mixed"] < first["mixed"] - 0.2
    assert first["weight"] == pytest.approx(0.0, abs=1e-6)
    assert abs(last["weight"]) > 1e-4
    assert {"reward", "helped", "first"} <= set(last)
    assert 0 <= last["helped"] <= 1
    assert set(training.validation) == {"pairs, no thoughts", "pairs, thoughts"}


@pytest.mark.parametrize("name", ["base", "mixed", "first", "reward", "helped", "weight"])
def test_tensorboard_has_the_curves(whole, folder, name):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    told = accumulator.EventAccumulator(str(folder / "tensorboard")).Reload().Scalars(f"training/{name}")
    assert [point.step for point in told] == [row["step"] for row in steps(whole[2])]
    assert [point.value for point in told] == pytest.approx([row[name] for row in steps(whole[2])], rel=1e-6)


def test_a_stopped_training_goes_on_as_if_never_stopped(whole, tmp_path):
    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path / "run", recipe(), stop)
    finished, training, curve = sit(tmp_path / "run", recipe())
    assert finished
    for one, other in zip(steps(curve), steps(whole[2]), strict=True):
        assert one["step"] == other["step"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["reward"] == pytest.approx(other["reward"], abs=1e-3)
    for one, other in zip(training.parameters, whole[1].parameters, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-2)


def test_only_what_is_new_is_trained(whole):
    model = whole[1].objective.model
    fresh = tiny.model()
    for name, parameter in fresh.named_parameters():
        same = [p for n, p in model.model.named_parameters() if n.replace(".base_layer", "").endswith(name)]
        assert len(same) == 1, name
        assert torch.equal(same[0], parameter)


def test_pauses_in_the_place_of_thoughts(tmp_path):
    how = recipe(dataclasses.replace(SMALL, filler="."), tokens=300)
    _, training, _ = sit(tmp_path / "run", how)
    assert training.objective.filler == tiny.tokenizer().encode(".")[0]
    broken = dataclasses.replace(how, quiet_star=dataclasses.replace(SMALL, filler=" "))
    tokenizer = tiny.tokenizer()
    tokenizer.encode = lambda text, **_: [] if text == " " else [3]
    with TrainingRun(tmp_path / "other", how) as run, pytest.raises(ConfigError, match="filler"):
        thoughts.begin(tiny.model(), tokenizer, broken, run)


def test_shorter_thoughts_begin_where_longer_ones_ended(whole, tmp_path, monkeypatch):
    """The curriculum of Fast Quiet-STaR: the numbers of a training are the start of the next."""
    model = whole[1].objective.model
    save_numbers(model, tmp_path / "long")
    monkeypatch.setattr("poise.lab.start.start_from", lambda wrapped, how: None)
    how = recipe(dataclasses.replace(SMALL, n_ahead=3), start=str(tmp_path / "long"))
    with TrainingRun(tmp_path / "short", how) as run:
        training = thoughts.begin(tiny.model(), tiny.tokenizer(), how, run)
    torch.testing.assert_close(training.objective.model.end, model.end, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(
        training.objective.model.mixer.last.weight, model.mixer.last.weight, atol=1e-2, rtol=1e-2
    )


def test_a_loss_that_is_no_number_stops_the_training(tmp_path, monkeypatch):
    def broken(*words, **more):
        found = plain(*words, **more)
        return dataclasses.replace(found, total=found.total * math.nan)

    plain = thoughts.quiet_star_loss
    monkeypatch.setattr(thoughts, "quiet_star_loss", broken)
    with pytest.raises(TrainingError, match="nan"):
        sit(tmp_path / "run", recipe())


FILE = """
model = "default"
[quiet_star]
n_ahead = 6
bound = "tanh"
[[source]]
task = "chain_sum"
count = 5
"""


def test_a_recipe_says_how_to_think(tmp_path):
    file = tmp_path / "thinking.toml"
    file.write_text(FILE)
    read = recipes.read_recipe(str(file))
    assert read.quiet_star.config.n_ahead == 6
    assert read.quiet_star.config.bound.value == "tanh"
    for line, match in (("n_ahead = 1", "n_ahead"), ("n_ahed = 6", "n_ahed"), ("head_learning_rate = 0", "above 0")):
        file.write_text(FILE.replace("n_ahead = 6", line))
        with pytest.raises(ConfigError, match=match):
            recipes.read_recipe(str(file))
    file.write_text(
        FILE.replace("[quiet_star]\n", "").replace("n_ahead = 6", "quiet_star = 6").replace('bound = "tanh"', "")
    )
    with pytest.raises(ConfigError, match="table"):
        recipes.read_recipe(str(file))
