import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from poise.costs import Card
from poise.errors import ConfigError, DataError, StoreError
from poise.store.environment import environment
from poise.store.run_dir import CONFIG, ENVIRONMENT, GRADES, SUMMARY, TRACES, RunDir

SETTINGS = {"seed": 1, "arms": [{"name": "a", "n": 8}, {"name": "b", "n": 2}], "tasks": ("sums",)}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "runs" / "one")


def test_a_run_is_begun_gone_on_with_and_read(run: RunDir) -> None:
    with run.claimed(SETTINGS, {"cpus": 2}):
        run.append(GRADES, {"item": "1"})
        run.write(SUMMARY, {"n": 1})
    with run.claimed(SETTINGS, {"cpus": 2}):
        run.append(GRADES, {"item": "2", "text": "a\nb\u2028c"})
    assert list(run.lines(GRADES)) == [{"item": "1"}, {"item": "2", "text": "a\nb\u2028c"}]
    assert list(run.lines(TRACES)) == []
    assert run.read(CONFIG) == json.loads(json.dumps(SETTINGS))
    assert (run.read(ENVIRONMENT), run.read(SUMMARY)) == ({"cpus": 2}, {"n": 1})


def test_a_missing_run_reads_as_empty_and_is_not_made(run: RunDir) -> None:
    assert (run.read(CONFIG), list(run.lines(GRADES))) == (None, [])
    assert not run.path.exists()


def test_other_settings_are_refused_field_by_field(run: RunDir) -> None:
    with run.claimed(SETTINGS, {}):
        pass
    other = {"seed": 2, "arms": [{"name": "a", "n": 8}, {"name": "b", "n": 4}], "tasks": ["sums"], "limit": 9}
    with pytest.raises(ConfigError) as refused, run.claimed(other, {}):
        pass
    assert refused.value.field == "seed, arms.1.n, limit"
    assert refused.value.got == ("2", "4", "9")
    assert "got 2, 4, 9;" in str(refused.value)
    assert "1, 2, None as in" in refused.value.allowed
    with pytest.raises(ConfigError, match="arms: got"), run.claimed({**SETTINGS, "arms": []}, {}):
        pass


def test_other_machines_are_added_to_the_environment_once(run: RunDir) -> None:
    for cpus in (2, 4, 2, 4, 8):
        with run.claimed(SETTINGS, {"cpus": cpus}):
            pass
    assert run.read(ENVIRONMENT) == {"cpus": 2, "resumed": [{"cpus": 4}, {"cpus": 8}]}


@pytest.mark.parametrize("torn", ['{"item": "2', "\0" * 70_000, "x" * 200_000])
def test_a_torn_last_line_is_not_read_and_cut_off_when_the_run_goes_on(run: RunDir, torn: str) -> None:
    with run.claimed(SETTINGS, {}):
        run.append(GRADES, {"item": "1"})
    with (run.path / GRADES).open("a") as file:
        file.write(torn)
    assert list(run.lines(GRADES)) == [{"item": "1"}]
    with run.claimed(SETTINGS, {}):
        run.append(GRADES, {"item": "3"})
    assert list(run.lines(GRADES)) == [{"item": "1"}, {"item": "3"}]


def test_a_file_of_one_torn_line_is_emptied(run: RunDir) -> None:
    run.path.mkdir(parents=True)
    (run.path / TRACES).write_text("x" * 100_000)
    with run.claimed(SETTINGS, {}):
        pass
    assert (run.path / TRACES).read_text() == ""


@pytest.mark.parametrize("line", ["not json", "[1]"])
def test_a_broken_line_is_named(run: RunDir, line: str) -> None:
    run.path.mkdir(parents=True)
    (run.path / GRADES).write_text(f'{{"item": "1"}}\n{line}\n')
    with pytest.raises(DataError, match=r"grades\.jsonl, line 2") as broken:
        list(run.lines(GRADES))
    assert broken.value.line == 2


def test_a_second_writer_is_refused_by_pid_while_readers_are_not(run: RunDir) -> None:
    with run.claimed(SETTINGS, {}):
        run.append(GRADES, {"item": "1"})
        with pytest.raises(StoreError, match=f"in use by another process, pid {os.getpid()}"):
            RunDir(run.path).claimed(SETTINGS, {}).__enter__()
        assert list(RunDir(run.path).lines(GRADES)) == [{"item": "1"}]
    with run.claimed(SETTINGS, {}):
        pass


HOLD = """
import sys, time
from poise.store.run_dir import RunDir
with RunDir(sys.argv[1]).claimed({}, {}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(run: RunDir) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    with holder, holder.stdout:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(StoreError, match=f"pid {holder.pid}"), run.claimed({}, {}):
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
    with run.claimed({}, {}):
        pass


def test_a_full_disk_loses_nothing_that_was_finished(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    write, room = os.write, [8]

    def scarce(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with run.claimed(SETTINGS, {}):
        run.append(GRADES, {"item": "1"})
        monkeypatch.setattr(os, "write", scarce)
        with pytest.raises(StoreError, match="No space left on device; what is finished stays readable"):
            run.append(GRADES, {"item": "2"})
    assert (run.path / GRADES).read_text() == '{"item":"1"}\n'
    monkeypatch.undo()
    with run.claimed(SETTINGS, {}):
        run.append(GRADES, {"item": "2"})
    assert list(run.lines(GRADES)) == [{"item": "1"}, {"item": "2"}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_a_store_error(run: RunDir) -> None:
    run.path.mkdir(parents=True)
    (run.path / TRACES).symlink_to("/dev/full")
    (run.path / f"{SUMMARY}.tmp").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="No space left"), run.claimed(SETTINGS, {}):
        run.append(TRACES, {"item": "1"})
    with pytest.raises(StoreError, match="No space left"):
        run.write(SUMMARY, {"n": 1})


def test_a_summary_is_replaced_whole_or_not_at_all(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    with run.claimed(SETTINGS, {}):
        run.write(SUMMARY, {"n": 1})
        monkeypatch.setattr(os, "fsync", _no_space)
        with pytest.raises(StoreError):
            run.write(SUMMARY, {"n": 2})
        monkeypatch.undo()
    assert run.read(SUMMARY) == {"n": 1}


def test_a_disk_that_refuses_the_last_sync_is_a_store_error(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError), run.claimed(SETTINGS, {}):
        monkeypatch.setattr(os, "fsync", _no_space)
    monkeypatch.undo()
    with run.claimed(SETTINGS, {}):
        pass


def _no_space(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_directory_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"), RunDir(tmp_path / "file" / "run").claimed({}, {}):
        pass
    with pytest.raises(StoreError, match="File exists"), RunDir(tmp_path / "file").claimed({}, {}):
        pass


def test_a_directory_without_permission_is_a_store_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("root may write anywhere")
    with pytest.raises(StoreError, match="Permission denied"), RunDir(tmp_path).claimed({}, {}):
        pass


def test_errors_of_the_work_itself_pass_unchanged(run: RunDir) -> None:
    with pytest.raises(ConnectionResetError), run.claimed(SETTINGS, {}):
        raise ConnectionResetError


def test_the_environment_names_versions_machine_and_models() -> None:
    facts = environment({"main": Card("tiny", parameters=3)})
    assert facts["engines"] == {"main": {"name": "tiny", "parameters": 3}}
    assert facts["packages"]["numpy"]
    assert "pytest" not in facts["packages"]
    assert facts["cpus"] >= 1
    assert {"poise", "python", "platform", "processor"} <= facts.keys()
