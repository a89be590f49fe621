"""Poise side by side with other systems for inference-time compute: one command, one table.

Makes a virtual environment per peer, starts an upstream that counts, asks all systems the same questions, and prints a
Markdown table; what was measured is kept, and the same command goes on where it stopped. See README.md beside this.

    .venv/bin/python bench/peers/run.py                        # idle and busy: about three hours
    .venv/bin/python bench/peers/run.py --setting embedded     # a small real model: about an hour
    .venv/bin/python bench/peers/run.py --quick                # does every part work? minutes; figures mean nothing
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asking
import law
import table
from arms import ARMS, EMBEDDED_SEED, HERE, MOCK, SETTINGS, SYSTEMS, Arm, Setting
from venvs import CannotRun, python_of

from poise import answers
from poise.core import Kind
from poise.engines.llamacpp import LlamaCpp
from poise.evals.rows import Item
from poise.evals.tasks import Task, load_task

QUICK_QUESTIONS = 6
LONGEST_SECONDS = 5400.0  # of one arm with one seed; a peer that hangs must not stop the others
STILL_SECONDS = 120.0  # without any call, once there was one, after which a system is taken to hang
Json = dict[str, Any]


class Questions:
    """What is asked with one seed, and the grades."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self._task: Task | None = load_task(setting.task) if setting.task else None
        self._items: dict[str, Item] = {}
        if self._task:
            self._items = {item.id: item for item in self._task.items(setting.questions, EMBEDDED_SEED + seed)}
            self.asked = [{"id": item.id, "question": item.question} for item in self._items.values()]
        else:
            numbers = law.numbers(seed, setting.questions)
            self.asked = [{"id": str(number), "question": law.question(number)} for number in numbers]

    def right(self, id: str, text: str) -> bool:
        """Whether a text's answer is right, read the same way for all systems."""
        value = answers.extract(text, Kind.NUMBER)
        if self._task:
            return self._task.grade(self._items[id], value.text if value else None)
        return value is not None and value.text == str(law.truth(int(id)))

    def cluster(self, id: str) -> str:
        """What a question shares with others: a template, or nothing."""
        return self._items[id].cluster if self._task else id


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def upstream(setting: Setting, log: Path) -> Iterator[str]:
    """The server that all systems of a setting are pointed at; its URL without /v1. What it says goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack, log.open("w") as said:
        environment = {**os.environ, "SLOTS": str(setting.slots)}
        if setting.task:
            model = LlamaCpp(slots=16)._process
            stack.callback(model.stop)
            address = model.start()
            environment |= {"BEHIND": address.url, "BEHIND_KEY": address.key}
        port = free_port()
        command = [sys.executable, str(HERE / "upstream.py"), str(port)]
        process = subprocess.Popen(command, env=environment, stderr=said)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        _idle(url)
        yield url


def _idle(url: str) -> Json:
    """The upstream's counters, once it is up and nothing is in flight."""
    for _ in range(3000):
        with contextlib.suppress(OSError):
            found = _stats(url)
            if not found["in_flight"]:
                return found
        time.sleep(0.05)
    raise CannotRun("the upstream is still busy long after the system ended")


def _watched(process: subprocess.Popen[bytes], url: str) -> None:
    """Wait for a system's end. Raises CannotRun, and ends it, when it takes too long or hangs."""
    began = moved = time.time()
    before: Json = {}
    while process.poll() is None:
        time.sleep(1.0)
        now, told = time.time(), _stats(url)
        if told != before:
            before, moved = told, now
        hangs = told["calls"] and not told["in_flight"] and now - moved > STILL_SECONDS
        if hangs or now - began > LONGEST_SECONDS:
            process.kill()
            why = f"no call for {STILL_SECONDS:.0f} s" if hangs else f"no end after {LONGEST_SECONDS:.0f} s"
            raise CannotRun(f"{why}, after {told['calls']:,} calls")


def _stats(url: str) -> Json:
    with urllib.request.urlopen(f"{url}/stats", timeout=30) as reply:
        found: Json = json.loads(reply.read())
    return found


def measured(url: str, setting: Setting, arm: Arm, python: str, seed: int, folder: Path) -> Json:
    """Run one arm over one seed's questions. Raises CannotRun."""
    questions = Questions(setting, seed)
    folder.mkdir(parents=True, exist_ok=True)
    job, lines = folder / "job.json", folder / "answers.jsonl"
    lines.unlink(missing_ok=True)
    given = {"url": f"{url}/v1", "key": "sk-local", "model": "m", "port": free_port(), "folder": str(folder)}
    given |= {key: getattr(setting, key) for key in ("parallel", "temperature", "max_tokens", "pattern")}
    job.write_text(json.dumps(given | {"method": arm.method, "n": arm.n, "questions": questions.asked}))
    asking.post(f"{url}/reset", {})
    before = time.time()
    with (folder / "said.log").open("w") as log:
        command = [python, str(HERE / SYSTEMS[arm.system].script), str(job), str(lines)]
        with subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process:
            _watched(process, url)
    if process.returncode or not lines.exists():
        raise CannotRun(_last_line(folder / "said.log") or f"ended with status {process.returncode}")
    *told, last = [json.loads(line) for line in lines.read_text().splitlines()]
    if all(line["error"] for line in told):
        raise CannotRun(told[0]["error"])
    counters = _idle(url)
    right = {line["id"]: questions.right(line["id"], line["text"] or "") for line in told}
    reported = [line["reported"] for line in told]
    return {
        "wall": last["wall"],
        "counters": counters,
        "reported": None if any(each is None for each in reported) else sum(reported),
        "seconds": {line["id"]: line["seconds"] for line in told},
        "right": right,
        "clusters": {id: questions.cluster(id) for id in right},
        "errors": [line["error"] for line in told if line["error"]],
        "when": before,
        "load_before": os.getloadavg()[0],
    }


def _last_line(path: Path) -> str:
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def run(settings: list[Setting], folder: Path, venvs: Path, only: str, again: bool) -> None:
    """Measure what is not measured yet. Arms of a seed run one after the other; the next seed goes through them anew,
    so that drift of the machine falls on all."""
    wanted = [arm for arm in ARMS if re.search(only, arm.name)]
    for setting in settings:
        arms = [arm for arm in wanted if setting.name in (arm.in_settings or tuple(SETTINGS))]
        with upstream(setting, folder / setting.name / "upstream.log") as url:
            for place, seed in enumerate(setting.seeds):
                for arm in (arm for arm in arms if place < (arm.seeds or len(setting.seeds))):
                    where = folder / setting.name / f"{re.sub(r'[^A-Za-z0-9]+', '-', arm.name)}-{seed}"
                    kept = where / "measured.json"
                    if not again and _is_measured(kept, setting):
                        continue
                    found: Json = {"setting": dataclasses.asdict(setting), "arm": arm.name, "seed": seed}
                    try:
                        python = python_of(SYSTEMS[arm.system], venvs)
                        found |= measured(url, setting, arm, python, seed, where)
                        print(f"{setting.name} {seed} {arm.name}: {found['wall']:.1f} s", file=sys.stderr)
                    except CannotRun as reason:
                        found["could_not"] = str(reason)
                        print(f"{setting.name} {seed} {arm.name}: could not run here: {reason}", file=sys.stderr)
                    where.mkdir(parents=True, exist_ok=True)
                    kept.write_text(json.dumps(found))


def _is_measured(kept: Path, setting: Setting) -> bool:
    """Whether an arm ran with this seed, on as many questions."""
    if not kept.exists():
        return False
    found = json.loads(kept.read_text())
    return "could_not" not in found and found["setting"]["questions"] == setting.questions


def main() -> None:
    """Measure and show."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--setting", choices=[*SETTINGS, "mock"], default="mock", help="mock: idle, then busy")
    options.add_argument("--only", default="", help="arms whose name matches this regular expression")
    options.add_argument("--questions", type=int, help="fewer, or more, of them per seed")
    options.add_argument("--seeds", type=int, nargs="+")
    options.add_argument("--again", action="store_true", help="measure anew what is there")
    options.add_argument(
        "--quick", action="store_true", help=f"{QUICK_QUESTIONS} questions, one seed, a folder of its own"
    )
    options.add_argument("--table", action="store_true", help="measure nothing; the table of what is there")
    options.add_argument("--run", type=Path, default=Path("runs/peers"))
    given = options.parse_args()
    chosen = [SETTINGS[name] for name in (MOCK if given.setting == "mock" else (given.setting,))]
    questions = given.questions or (QUICK_QUESTIONS if given.quick else None)
    seeds = given.seeds or ([0] if given.quick else None)
    for field, value in (("questions", questions), ("seeds", tuple(seeds or ()))):
        chosen = [dataclasses.replace(setting, **{field: value}) if value else setting for setting in chosen]
    folder = (given.run / "quick" if given.quick else given.run).resolve()
    if not given.table:
        run(chosen, folder, (given.run / "venvs").resolve(), given.only, given.again)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    table.show(folder, machine)


if __name__ == "__main__":
    main()
