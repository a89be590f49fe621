"""Files that are replaced whole or not at all, whatever ends the writing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from poise.errors import StoreError


@contextlib.contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A file beside `path` to be written; once it is on the disk it takes that name. If anything fails the draft is
    removed, and what was at `path` stays. Raises StoreError, naming `path`, when the disk refuses."""
    draft = path.with_name(f"{path.name}.tmp")
    try:
        yield draft
        with draft.open("r+b") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise StoreError(f"{path}: {error.strerror or error}; what is finished stays readable") from error
        raise


def write_whole(path: Path, text: str) -> None:
    """Replace a text file, as UTF-8. Raises StoreError when it cannot be written."""
    with drafted(path) as draft:
        draft.write_text(text, encoding="utf-8")
