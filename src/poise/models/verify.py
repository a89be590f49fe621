"""Hashes: a file is hashed once, and again only when its size or modification time changes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path

import platformdirs

from poise.errors import ModelError

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where fetched models live: POISE_CACHE, or the user's cache folder of this system. Need not exist yet."""
    root = os.environ.get("POISE_CACHE") or platformdirs.user_cache_dir("poise")
    return Path(root) / "models"


def check(path: Path, sha256: str, what: str) -> None:
    """Hash the whole file; ModelError, naming `what`, when it is not the expected one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise ModelError(f"{what}: wrong hash: SHA-256 is {found}, expected {sha256}")


def verify(path: Path, sha256: str) -> None:
    """Check a file against its hash. Raises ModelError on a mismatch.

    Cost: reads the whole file the first time; then a marker stands for it while size and time stay the same.
    """
    if not is_verified(path, sha256):
        check(path, sha256, f"{path} (delete it to get it anew)")
        mark(path, sha256)


def mark(path: Path, sha256: str) -> None:
    """Remember that this very file was found whole. The marker lives in the cache folder, not beside the file, because
    a model may lie in a read-only folder."""
    try:
        write_whole(_marker(path), json.dumps(_state(path, sha256)).encode())
    except OSError as error:
        logger.info("%s will be hashed again at the next start: no marker: %s", path, error)


def is_verified(path: Path, sha256: str) -> bool:
    """Whether a marker says that this very file was found whole before."""
    try:
        return bool(json.loads(_marker(path).read_bytes()) == _state(path, sha256))
    except (OSError, ValueError):
        return False


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def _marker(path: Path) -> Path:
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return cache_folder() / "verified" / f"{place}.json"


def _state(path: Path, sha256: str) -> dict[str, object]:
    stat = path.stat()
    return {"path": str(path.resolve()), "size": stat.st_size, "modified_ns": stat.st_mtime_ns, "sha256": sha256}
