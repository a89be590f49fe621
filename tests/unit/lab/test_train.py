"""Trainings of a tiny model: what they learn, and what kills, interrupts, raised tokens and full disks leave."""

import contextlib
import math
import sys
import weakref

import pytest
import tiny
import torch

from poise.errors import ConfigError, StoreError, TrainingError
from poise.lab import train as lab
from poise.lab.training_run import TrainingRun

pytestmark = pytest.mark.usefixtures("uncompiled")
ROWS = tiny.rows()
HELD = {"pairs": tiny.rows(40, seed=1)}


class Killed(BaseException):
    """Stands for the process: nothing is saved, nothing is caught."""


def sit(folder, recipe, watch=lambda progress: None, rows=ROWS, minutes=None):
    """One sitting: (finished, training)."""
    with TrainingRun(folder, recipe) as run:
        training = lab.begin(tiny.model(), recipe, run)
        return lab.train(training, rows, HELD, run, minutes, watch), training


def steps_of(folder, recipe):
    with TrainingRun(folder, recipe) as run:
        return [row for row in run.curve() if row["kind"] == "step"]


def assert_same_curve(found, wanted):
    assert [row["step"] for row in found] == [row["step"] for row in wanted] == list(range(1, len(wanted) + 1))
    for one, other in zip(found, wanted, strict=True):
        assert (one["tokens"], one["learning_rate"]) == (other["tokens"], other["learning_rate"])
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)


def raised(error, at):
    def watch(progress):
        if progress.step == at:
            raise error

    return watch


@pytest.fixture
def whole(tmp_path):
    """The curve of a training that nothing disturbed."""
    recipe = tiny.recipe()
    finished, training = sit(tmp_path / "whole", recipe)
    assert finished
    return recipe, steps_of(tmp_path / "whole", recipe), training


def test_a_training_learns_and_tells(tmp_path):
    told, recipe = [], tiny.recipe(tokens=15_000)
    finished, training = sit(tmp_path, recipe, told.append, tiny.rows(1200, seed=2))
    assert finished
    curve = steps_of(tmp_path, recipe)
    first, last = (sum(row["loss"] for row in part) / 10 for part in (curve[:10], curve[-10:]))
    assert last < first - 0.5
    assert training.validation["pairs"] < first - 0.5
    assert told[-1].tokens == training.tokens >= recipe.tokens
    assert [progress.step for progress in told[:-1]] == [row["step"] for row in curve]
    assert list((tmp_path / "tensorboard").iterdir())


def test_validation_holds_what_a_gradient_needs_of_one_batch_at_a_time(tmp_path, monkeypatch):
    told, alive = lab.Forward.loss, []

    def loss(forward, lines, length):
        assert not [one for one in alive if one() is not None]
        found, batch = told(forward, lines, length)
        alive.append(weakref.ref(found))
        return found, batch

    monkeypatch.setattr(lab.Forward, "loss", loss)
    finished, _ = sit(tmp_path, tiny.recipe(tokens=300))
    assert finished
    assert len(alive) > 5


def test_only_the_adapter_learns(whole):
    _, _, training = whole
    for (name, trained), fresh in zip(
        training.adapted.get_base_model().named_parameters(),
        lab.adapted(tiny.model(), training.recipe).get_base_model().parameters(),
        strict=True,
    ):
        assert torch.equal(trained, fresh) != ("lora_" in name)


def test_a_killed_training_goes_on_as_if_nothing_had_been(whole, tmp_path, monkeypatch):
    recipe, wanted, _ = whole
    monkeypatch.setattr(lab, "SAVE_SECONDS", 0.0)

    def watch(progress):
        if progress.step == 9:
            monkeypatch.setattr(lab, "SAVE_SECONDS", math.inf)
        if progress.step == 13:
            raise Killed

    with pytest.raises(Killed):
        sit(tmp_path / "run", recipe, watch)
    assert len(steps_of(tmp_path / "run", recipe)) == 13
    begun = []
    assert sit(tmp_path / "run", recipe, begun.append)[0]
    assert begun[0].step == 10  # the steps after the last checkpoint are taken again
    assert_same_curve(steps_of(tmp_path / "run", recipe), wanted)


def test_killed_before_the_first_checkpoint_it_starts_anew(whole, tmp_path):
    recipe, wanted, _ = whole
    with pytest.raises(Killed):
        sit(tmp_path / "run", recipe, raised(Killed, 4))
    assert sit(tmp_path / "run", recipe)[0]
    assert_same_curve(steps_of(tmp_path / "run", recipe), wanted)


def test_an_interrupt_saves_first(whole, tmp_path):
    recipe, wanted, _ = whole
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path / "run", recipe, raised(KeyboardInterrupt, 7))
    begun = []
    assert sit(tmp_path / "run", recipe, begun.append)[0]
    assert begun[0].step == 8
    assert_same_curve(steps_of(tmp_path / "run", recipe), wanted)


def test_an_interrupt_amid_a_step_saves_nothing_of_it(tmp_path, monkeypatch):
    recipe = tiny.recipe()
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path, recipe, raised(KeyboardInterrupt, 5))
    before = torch.load(tmp_path / "checkpoint.pt")

    def half(optimiser):
        optimiser.param_groups[0]["params"][0].data.fill_(9.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.AdamW, "step", half)
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path, recipe)
    after = torch.load(tmp_path / "checkpoint.pt")
    assert after["step"] == before["step"] == 5
    assert all(map(torch.equal, after["parameters"], before["parameters"]))


def test_sittings_end_after_their_minutes(whole, tmp_path):
    recipe, wanted, _ = whole
    sittings = 0
    finished = False
    while not finished:
        now = [0.0]

        def tick(progress, now=now):
            now[0] += 10.0

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("poise.lab.train.time.monotonic", lambda now=now: now[0])
            finished, training = sit(tmp_path / "run", recipe, tick, minutes=1.0)
        sittings += 1
    assert sittings == math.ceil(len(wanted) / 7)  # the seventh step begins within the minute
    assert_same_curve(steps_of(tmp_path / "run", recipe), wanted)
    assert sit(tmp_path / "run", recipe)[1].step == training.step  # done: nothing more is learnt


def test_more_tokens_go_on_from_where_the_rate_was_level(tmp_path):
    short, long = tiny.recipe(tokens=3000), tiny.recipe(tokens=6000)
    sit(tmp_path / "whole", long)
    sit(tmp_path / "run", short)
    falling = [row for row in steps_of(tmp_path / "run", short) if row["step"] > short.warmup]
    assert falling[-1]["learning_rate"] < 0.2 * short.learning_rate
    begun = []
    finished, training = sit(tmp_path / "run", long, begun.append)
    assert finished
    assert training.tokens >= 6000
    assert 0.75 * 3000 < begun[0].tokens < 3000
    assert_same_curve(steps_of(tmp_path / "run", long), steps_of(tmp_path / "whole", long))


def test_more_tokens_before_the_rate_fell_lose_no_step(tmp_path):
    short, long = tiny.recipe(tokens=3000), tiny.recipe(tokens=6000)
    sit(tmp_path / "whole", long)
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path / "run", short, raised(KeyboardInterrupt, 6))
    begun = []
    sit(tmp_path / "run", long, begun.append)
    assert begun[0].step == 7
    assert_same_curve(steps_of(tmp_path / "run", long), steps_of(tmp_path / "whole", long))


def test_tokens_that_leave_nothing_to_do_are_refused(tmp_path):
    sit(tmp_path, tiny.recipe(tokens=3000))
    with pytest.raises(ConfigError, match=r"tokens: got 2000; allowed: 3000 as before, more than 2\d\d\d"):
        sit(tmp_path, tiny.recipe(tokens=2000))
    (tmp_path / "level.pt").unlink()
    with pytest.raises(ConfigError, match="tokens: got 9000; allowed: 3000 as before, or another folder"):
        sit(tmp_path, tiny.recipe(tokens=9000))


def test_other_settings_in_one_folder_are_refused(tmp_path):
    sit(tmp_path, tiny.recipe(tokens=1000))
    with pytest.raises(ConfigError, match="rank, seed: got "):
        sit(tmp_path, tiny.recipe(tokens=1000, rank=2, seed=5))
    assert sit(tmp_path, tiny.recipe(tokens=1000))[0]


def test_settings_may_be_mended_before_anything_was_saved(tmp_path):
    with pytest.raises(ConfigError, match="targets"):
        sit(tmp_path, tiny.recipe(targets=("no_proj",)))
    assert sit(tmp_path, tiny.recipe(tokens=500))[0]


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    with TrainingRun(tmp_path, tiny.recipe()), pytest.raises(StoreError, match="in use"):
        TrainingRun(tmp_path, tiny.recipe())


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_checkpoint(tmp_path):
    recipe = tiny.recipe()
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path, recipe, raised(KeyboardInterrupt, 3))
    with TrainingRun(tmp_path, recipe) as run:
        training = lab.begin(tiny.model(), recipe, run)

        def poison(progress):
            if progress.step == 5:
                training.optimiser.param_groups[0]["params"][0].data.fill_(math.nan)

        with pytest.raises(TrainingError, match="step 6: the loss is nan"):
            lab.train(training, ROWS, HELD, run, None, poison)
    with TrainingRun(tmp_path, recipe) as run:
        again = lab.begin(tiny.model(), recipe, run)
    assert again.step == 3
    assert all(torch.isfinite(values).all() for values in again.optimiser.param_groups[0]["params"])


@contextlib.contextmanager
def little_room(size):
    """Files that this process writes cannot grow past `size` bytes, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    recipe = tiny.recipe()
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path, recipe, raised(KeyboardInterrupt, 3))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with TrainingRun(tmp_path, recipe) as run:
        training = lab.begin(tiny.model(), recipe, run)
        with little_room(len(before) // 2), pytest.raises(StoreError, match="the checkpoint before it is kept"):
            run.save(lab.snapshot(training), level=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))
    assert sit(tmp_path, recipe)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_curve_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "curve.jsonl").symlink_to("/dev/full")
    with TrainingRun(tmp_path, tiny.recipe()) as run, pytest.raises(StoreError, match="No space left"):
        run.record_validation(1, 10, {"pairs": 1.0}, 0.0)


def test_broken_files_are_named(tmp_path):
    recipe = tiny.recipe(tokens=500)
    sit(tmp_path, recipe)
    (tmp_path / "checkpoint.pt").write_bytes(b"half of it")
    with pytest.raises(StoreError, match=r"checkpoint\.pt: cannot be read .* delete it to start anew"):
        sit(tmp_path, recipe)
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(StoreError, match=r"recipe\.json"):
        sit(tmp_path, recipe)


def test_a_torn_line_of_the_curve_is_cut_off(tmp_path):
    recipe = tiny.recipe()
    with pytest.raises(KeyboardInterrupt):
        sit(tmp_path, recipe, raised(KeyboardInterrupt, 3))
    with (tmp_path / "curve.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    assert sit(tmp_path, recipe)[0]
    assert [row["step"] for row in steps_of(tmp_path, recipe)][:5] == [1, 2, 3, 4, 5]
    assert all(line.endswith("}") for line in (tmp_path / "curve.jsonl").read_text().splitlines())


def test_the_rate_warms_up_stays_and_falls():
    recipe = tiny.recipe(tokens=1000, warmup=4, learning_rate=1.0)
    assert [lab.rate(recipe, step, 0) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [lab.rate(recipe, 9, tokens) for tokens in (750, 875, 1000, 1100)] == [1.0, 0.5, 0.0, 0.0]


def test_the_fused_pass_and_the_models_own_give_one_loss():
    recipe = tiny.recipe()
    model = lab.adapted(tiny.model(), recipe)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    forward, lines = lab.Forward(model), [ROWS[:2], ROWS[2:3]]
    assert forward.llama is not None
    fused = forward.loss(lines, 64)[0]
    forward.llama = None
    torch.testing.assert_close(forward.loss(lines, 64)[0], fused, rtol=1e-4, atol=1e-5)


def test_a_model_of_another_kind_learns_too(tmp_path):
    recipe = tiny.recipe(tokens=4000, targets=("q_proj", "v_proj"))
    with TrainingRun(tmp_path, recipe) as run:
        training = lab.begin(tiny.model(attention_bias=True), recipe, run)
        assert lab.Forward(training.adapted).llama is None
        assert lab.train(training, ROWS, HELD, run)
    losses = [row["loss"] for row in steps_of(tmp_path, recipe)]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_memory_is_given_back_where_the_c_library_can(monkeypatch):
    lab._trim()

    def missing(name):
        raise OSError(f"{name}: no such file")

    monkeypatch.setattr("ctypes.CDLL", missing)
    lab._trim()
