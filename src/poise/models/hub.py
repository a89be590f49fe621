"""GGUF files of Hugging Face hub repositories, through huggingface_hub and its cache, token and mirror settings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from poise.errors import ConfigError, ModelError
from poise.models.verify import verify

REPOSITORY = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+?)(?::(?P<wanted>.+))?")
# Quantisations to prefer when none is asked for: a good trade of size for quality first.
PREFERRED = ("Q4_K_M", "Q5_K_M", "Q4_K_S", "Q6_K", "Q8_0", "Q4_1", "Q4_0", "F16", "BF16")
NOT_A_MODEL = re.compile(r"mmproj|-\d{5}-of-\d{5}", re.IGNORECASE)  # vision projectors; files split into parts
LIST_SECONDS = 15.0


def from_hub(repository: str, wanted: str | None) -> Path:
    """The verified file: `wanted` is a file name, a quantisation such as Q4_K_M, or None for a sensible one.

    Raises ConfigError when the repository has no such file (naming those it has), ModelError when the hub cannot be
    reached and the file is not in the hub's cache. Cost: one listing, and one download the first time.
    """
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
    except ImportError as error:
        raise ConfigError("model", repository, 'pip install "poise[local]" for hub models, or a .gguf file') from error
    # The transport's own errors (requests, httpx or httpx2, by version) are the bases of the hub's.
    unreachable = (*HfHubHTTPError.__bases__, OSError)
    try:
        listed = hub.HfApi().model_info(repository, files_metadata=True, timeout=LIST_SECONDS).siblings or []
        hashes = {file.rfilename: file.lfs.sha256 if file.lfs else None for file in listed}
        name = choose(hashes, repository, wanted)
        path = Path(hub.hf_hub_download(repository, name))
    except RepositoryNotFoundError as error:
        raise ConfigError("model", repository, "a public hub repository, or one that your token can read") from error
    except unreachable as error:
        cached = _cached(repository)
        if not cached:
            raise ModelError(
                f"{repository}: the hub cannot be reached ({error}) and nothing of it is in the hub's cache; check "
                "the network, or name a .gguf file instead"
            ) from error
        return cached[choose(cached, repository, wanted)]
    if sha256 := hashes[name]:
        verify(path, sha256)
    return path


def choose(names: Iterable[str], repository: str, wanted: str | None) -> str:
    """Which of a repository's files to take. Raises ConfigError when none fits, naming the files there are."""
    models = sorted(name for name in names if name.lower().endswith(".gguf") and not NOT_A_MODEL.search(name))
    for quantisation in (wanted,) if wanted else PREFERRED:
        ending = re.compile(rf"(^|[-./]){re.escape(quantisation)}(\.gguf)?$", re.IGNORECASE)
        for name in models:
            if name == wanted or ending.search(name):
                return name
    if len(models) == 1 and not wanted:
        return models[0]
    there = ", ".join(models) or "no GGUF model in one file; convert it, or take a repository whose name ends in -GGUF"
    raise ConfigError("model", f"{repository}:{wanted}" if wanted else repository, f"one of its files: {there}")


def _cached(repository: str) -> dict[str, Path]:
    """Files of a repository that the hub's own cache holds, by name."""
    import huggingface_hub as hub
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = hub.scan_cache_dir(hub.constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return {}
    revisions = (revision for repo in repositories if repo.repo_id == repository for revision in repo.revisions)
    return {
        file.file_path.relative_to(revision.snapshot_path).as_posix(): file.file_path
        for revision in sorted(revisions, key=lambda r: r.last_modified)
        for file in revision.files
    }
