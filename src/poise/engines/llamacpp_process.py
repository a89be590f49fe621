"""llama.cpp's own server as a child process: both ends of the pipe.

Why not in this process: `xllamacpp.Server` holds the GIL while it loads (1.3 s for 135 M parameters, all of it a frozen
event loop), its OpenMP threads take their waiting policy from the environment once, and an assertion in C++ would end
the whole program. The child serves HTTP on a loopback port of its own choosing, behind a key made for this start, and
ends when its standard input does: when we stop it, or when we are gone, however that happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from poise.errors import EngineUnreachable, ModelError

Settings: TypeAlias = Mapping[str, int | bool | str]

# A waiting OpenMP thread spins this often before it sleeps. libgomp's default (300,000) spins through whole time slices
# whenever anything else runs: measured 10 instead of 54 tokens/s beside other work on 2 cores.
SPINS = {"GOMP_SPINCOUNT": "1000"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a started server listens, and the key it asks for."""

    url: str
    key: str


class ServerProcess:
    """One llama.cpp server, started when its address is first asked for, and again when it has died. Thread-safe."""

    def __init__(self, model: Path, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._address = Address("", "")
        self._stopping = False
        self._end: weakref.finalize[..., ServerProcess] = weakref.finalize(self, _nothing)

    @property
    def running(self) -> Address | None:
        """The address if the server is up now; no waiting."""
        up = self._address.url and self._child is not None and self._child.poll() is None
        return self._address if up else None

    def start(self) -> Address:
        """Its address; loads the model first unless it runs already. Blocks: call it in a thread.

        Raises ModelError when llama.cpp cannot load the model (with llama.cpp's reason), EngineUnreachable when the
        port is taken, or when stopped meanwhile. Cost: about a second for 135 M parameters.
        """
        with self._lock:
            return self.running or self._launch()

    def await_end(self, seconds: float = 2.0) -> None:
        """Wait a moment for a server that cannot be reached to be gone: a killed process closes its port first, then
        gives its memory back, and until it has, it seems to run. Blocks: call it in a thread."""
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)

    def stop(self) -> None:
        """End the server and give its memory back; harmless when it does not run. A start under way ends too."""
        self._stopping = True
        if self._child is not None:
            self._child.kill()
        with self._lock:
            self._end()
            self._address, self._stopping = Address("", ""), False

    def _launch(self) -> Address:
        self._end()
        key = secrets.token_urlsafe(16)
        port = self.settings.get("port")
        if isinstance(port, int) and port and not _free(port):
            raise EngineUnreachable(f"llama.cpp cannot listen on port {port}: it is taken; port 0 finds a free one")
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "poise.engines.llamacpp_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=SPINS | dict(os.environ),
                text=True,
            )
            self._child, self._end = child, weakref.finalize(self, _end, child)
            url = _tell(child, dict(self.settings) | {"model": str(self.model), "key": key})
            if not url:
                child.wait()
                if self._stopping:
                    raise EngineUnreachable(f"{self.model}: closed while it was loading")
                log.seek(0)
                raise ModelError(f"{self.model}: llama.cpp could not load it: {_reason(log, child.returncode)}")
        self._address = Address(url, key)
        return self._address


def _nothing() -> None:
    """Before the first start there is nothing to end."""


def _tell(child: subprocess.Popen[str], settings: Mapping[str, object]) -> str:
    """Hand the settings over and wait for the address; "" when the child ends without one."""
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps(dict(settings)) + "\n")
        child.stdin.flush()
    return child.stdout.readline().strip()


def _end(child: subprocess.Popen[str]) -> None:
    """Kill and reap: nothing in the child is worth a goodbye."""
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _reason(log: IO[str], status: int) -> str:
    """llama.cpp's first complaint (what follows repeats it), or the child's last line, or its exit status."""
    said = [line.strip() for line in log if line.strip()]
    complaints = [line.partition(" E ")[2] for line in said if " E " in line]
    killed = " (killed: out of memory?)" if status == -signal.SIGKILL else ""
    return (complaints or said[-1:] or [f"it ended with status {status}{killed}"])[0]


def main() -> None:
    """The child: read settings, serve, say where, and go when standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    settings = json.loads(sys.stdin.readline())
    with os.fdopen(os.dup(1), "w") as parent:
        os.dup2(2, 1)  # what llama.cpp prints belongs in the log
        import xllamacpp

        try:
            server = xllamacpp.Server(_parameters(settings))
        except RuntimeError as error:
            sys.exit(str(error))
        parent.write(f"{server.listening_address}\n")
    sys.stdin.read()
    os._exit(0)


def _parameters(settings: Mapping[str, object]) -> object:
    """xllamacpp's own object, from settings that bear its names (`threads` and `cache_type` set two of them each)."""
    import xllamacpp as x

    given = dict(settings)
    params = x.CommonParams()
    params.model.path, params.api_keys = given.pop("model"), [given.pop("key")]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = given.pop("threads")
    params.cache_type_k = params.cache_type_v = x.ggml_type[f"GGML_TYPE_{given.pop('cache_type')}"]
    params.verbosity, params.ui, params.endpoint_metrics, params.endpoint_slots = 1, False, True, True
    # Fitting layers to a GPU's memory loads the model twice; without one there is nothing to fit.
    params.fit_params = any(device["type"].name.endswith("GPU") for device in x.get_device_info())
    for name, value in given.items():
        setattr(params, name, value)
    return params


if __name__ == "__main__":
    main()
