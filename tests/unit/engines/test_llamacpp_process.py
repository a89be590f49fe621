"""The embedded engine without llama.cpp: knobs, and the child process with a stand-in for xllamacpp."""

import io
import socket
import threading
from pathlib import Path

import psutil
import pytest

from poise.core import Ability, Message, Role, Sampling
from poise.costs import Card, Load
from poise.engines import llamacpp
from poise.engines.llamacpp import LlamaCpp
from poise.engines.llamacpp_process import ServerProcess, _reason
from poise.errors import ConfigError, EngineUnreachable, ModelError
from poise.models import ModelFile

SETTINGS = {"threads": 1, "cache_type": "F16", "port": 0, "n_ctx": 64}
STAND_IN = """
import enum, os, sys, time, types
class CommonParams:
    def __init__(self):
        for part in ("model", "cpuparams", "cpuparams_batch"):
            setattr(self, part, types.SimpleNamespace())
ggml_type = enum.Enum("ggml_type", "GGML_TYPE_F16")
def get_device_info():
    return []
class Server:
    def __init__(self, params):
        print("chatter on standard output", flush=True)
        if params.model.path.endswith("bad.gguf"):
            os.write(2, b"0.00.1 E llama: tensor is missing\\n0.00.2 E srv: exiting\\n")
            raise RuntimeError("Failed to init server")
        while params.model.path.endswith("slow.gguf"):
            time.sleep(.01)
        self.listening_address = f"http://{os.environ.get('GOMP_SPINCOUNT')}:{params.n_ctx}/{len(params.api_keys[0])}"
"""


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Makes server processes around the stand-in, and stops them."""
    (tmp_path / "xllamacpp.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = []

    def make(model="good.gguf", **settings):
        made.append(ServerProcess(Path(model), SETTINGS | settings))
        return made[-1]

    yield make
    for process in made:
        process.stop()


def test_a_start_gives_address_and_key_once(start):
    process = start()
    assert process.running is None
    address = process.start()
    assert address.url == "http://1000:64/22"
    assert len(address.key) == 22
    assert process.start() is process.running is address


def test_after_a_stop_or_a_crash_it_starts_anew(start):
    process = start()
    first, child = process.start(), process._child
    process.stop()
    assert (process.running, child.returncode) == (None, -9)
    second = process.start()
    assert second.key != first.key
    process._child.kill()
    process._child.wait()
    assert process.running is None
    assert process.start().key != second.key


def test_two_threads_start_one_server(start):
    process, addresses = start(), []
    threads = [threading.Thread(target=lambda: addresses.append(process.start())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert addresses[0] is addresses[1]


def test_a_forgotten_process_is_ended(start):
    process = ServerProcess(Path("good.gguf"), SETTINGS)
    process.start()
    child = process._child
    del process
    assert child.returncode == -9
    assert not psutil.pid_exists(child.pid)


def test_a_failed_start_gives_the_first_complaint(start):
    with pytest.raises(ModelError, match=r"bad.gguf: llama.cpp could not load it: llama: tensor is missing$"):
        start("bad.gguf").start()


def test_a_stop_ends_a_start_under_way(start):
    process, caught = start("slow.gguf"), []

    def starting():
        with pytest.raises(EngineUnreachable, match="closed while it was loading") as failure:
            process.start()
        caught.append(failure)

    thread = threading.Thread(target=starting)
    thread.start()
    while process._child is None:
        thread.join(0.01)
    process.stop()
    thread.join()
    assert caught


def test_a_taken_port(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineUnreachable, match=f"port {port}: it is taken"):
            start(port=port).start()


@pytest.mark.parametrize(
    ("log", "status", "reason"),
    [
        ("0.1 I fine\n0.2 E first\n0.3 E second\n", 1, "first"),
        ("Traceback\nImportError: no module\n", 1, "ImportError: no module"),
        ("", -9, "it ended with status -9 (killed: out of memory?)"),
        ("\n", 3, "it ended with status 3"),
    ],
)
def test_reasons(log, status, reason):
    assert _reason(io.StringIO(log), status) == reason


@pytest.fixture
def model(monkeypatch, tmp_path):
    """A model of 1,000 bytes whose tokens take 1 kB of cache each."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"x" * 1000)
    monkeypatch.setattr(llamacpp, "locate", lambda name: ModelFile(name, path, Card("m", context=4096), 1000.0))
    monkeypatch.setattr(llamacpp, "_memory_bytes", lambda: 50e6)


def test_defaults_and_knobs(model):
    engine = LlamaCpp()
    assert (engine.slots, engine.context, engine.card.context) == (16, 2048, 2048)
    assert engine.load() == Load(slots=16)
    assert engine._process.settings["n_ctx"] == 16 * 2048
    assert LlamaCpp(slots=2, context=4096, threads=3)._process.settings["threads"] == 3


def test_one_slot_has_seeds_and_many_have_shared_prompts(model):
    one, many = LlamaCpp(slots=1), LlamaCpp(slots=2)
    assert {Ability.SEEDS, Ability.N_SAMPLES} & one.can == {Ability.SEEDS}
    assert {Ability.SEEDS, Ability.N_SAMPLES} & many.can == {Ability.N_SAMPLES}
    assert (one._process.settings["cache_prompt"], many._process.settings["cache_prompt"]) == (False, True)


@pytest.mark.parametrize(
    ("knobs", "field"),
    [
        ({"slots": -1}, "slots"),
        ({"context": -5}, "context"),
        ({"threads": -2}, "threads"),
        ({"context": 4097}, "context"),
        ({"slots": 25}, "slots x context"),
    ],
)
def test_knobs_that_cannot_work(model, knobs, field):
    with pytest.raises(ConfigError) as refusal:
        LlamaCpp(**knobs)
    assert refusal.value.field == field


def test_without_xllamacpp_the_extra_is_named(model, monkeypatch):
    monkeypatch.setattr(llamacpp.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"poise\[local\]"):
        LlamaCpp()


async def test_a_draw_from_a_model_that_cannot_load_raises_from_the_iteration(model, start, monkeypatch):
    engine = LlamaCpp()
    engine._process = start("bad.gguf")
    stream = engine.stream((Message(Role.USER, "hello"),), Sampling())
    with pytest.raises(ModelError):
        await anext(aiter(stream))
    assert (await stream.aclose()).tokens == 0
    assert engine.load().queued == 0
    await engine.aclose()
