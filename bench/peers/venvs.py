"""A virtual environment per peer, made once."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from arms import HERE, System


class CannotRun(Exception):
    """A peer that cannot be installed or run here, and why."""


def python_of(system: System, folder: Path) -> str:
    """The interpreter that runs a system's script; makes its environment first where it is missing or of other
    versions. Raises CannotRun."""
    if not system.requirements:
        return sys.executable
    venv = folder / system.name
    python, stamp, wanted = venv / "bin" / "python", venv / ".installed", _fingerprint(system)
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"Installing {system.name} into {venv}", file=sys.stderr)
        _run([sys.executable, "-m", "venv", "--clear", str(venv)])
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for name in system.requirements:
            _run([*pip, "-r", str(HERE / name)])
        if system.without_dependencies:
            _run([*pip, "--no-deps", *system.without_dependencies.split()])
        stamp.write_text(wanted)
    return str(python)


def _fingerprint(system: System) -> str:
    texts = [(HERE / name).read_text() for name in system.requirements]
    return hashlib.sha256("\n".join([*texts, system.without_dependencies, sys.version]).encode()).hexdigest()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise CannotRun(f"{' '.join(command[1:5])}: {(said or ['no reason given'])[-1]}"[:300])
