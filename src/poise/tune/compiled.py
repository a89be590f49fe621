"""What compiling gives: the prompt, its file, and everything that was judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poise.core import Request
from poise.errors import ConfigError, DataError
from poise.prompts import PromptFile, load, parse
from poise.store.whole import write_whole
from poise.tune.archive import Archive, Measured, Placed
from poise.tune.emit import beginning, prompt_file
from poise.tune.lines import tested_to_json
from poise.tune.optimizer import RESULT, Tuned, TuneDir, initial
from poise.tune.pick import Pick
from poise.tune.tested import Tested

FILE = "prompt.md"
_QUESTION, _MARK = "{question}", "?"


@dataclass(frozen=True, slots=True)
class Compiled:
    """`tuned`: the outcome; `archive`: the finalists that none surely beats in the objectives; `picked`: what the
    optimizer's `pick` asks for; `path`: that as a file, for --prompt, for arms, and for `poise prompts export`;
    `tested`: what that is worth on the questions of a test (None: there are none, or the prompt stayed as it was)."""

    tuned: Tuned
    archive: Archive
    picked: Measured
    path: Path
    tested: Tested | None = None

    @property
    def best(self) -> str:
        """The text to put behind a question: one with a gain that is shown, or the one to begin with."""
        return self.tuned.best

    @property
    def shown(self) -> bool:
        """Whether a gain is shown."""
        return self.tuned.shown

    @property
    def detailed_results(self) -> tuple[Measured, ...]:
        """The initial prompt and the finalists, with the outcome of every row that judged."""
        return self.tuned.detailed_results

    @property
    def pareto_front(self) -> tuple[Placed, ...]:
        """What is not surely beaten, by rising tokens, with 95 % intervals."""
        return tuple(self.archive.front())

    def pick(self, rule: str = "", *, latency: float | None = None, max_drop: float | None = None) -> str:
        """A prompt by one rule: `latency`, the most accurate whose p95 is at most so many seconds; `max_drop`, the
        shortest that is shown to lose less than so much accuracy (a share); or a rule as `poise tune --pick` takes it.
        Seconds are those of the judgement, which draws up to 64 answers at once: they compare prompts; an answer that
        is asked for alone may take less. Raises ConfigError where no prompt is that fast, or the rows are too few to
        show so small a drop."""
        return Pick.one(rule, latency, max_drop).of(self.archive, self.tuned.judged_best).name


@dataclass(frozen=True, slots=True)
class Emitted:
    """Where a prompt goes, and what its file says of it: the model, the task, how it was found, and the prompt file
    that the run began with (None: a text)."""

    folder: Path
    model: str
    task: str
    source: str
    begun: PromptFile | None = None

    def write(self, picked: Measured, initial: str, rule: str, tested: Tested | None = None) -> Path:
        """A prompt as a file in the folder, with what the test measured, else the rows that judged; the run's result
        tells by what rule it was picked, and the test. Its version is one above that of what had its id before, unless
        that is the same prompt. Raises StoreError."""
        id, path = self.folder.name or "tuned", self.folder / FILE
        told = tested.after if tested else picked, self.model, self.task
        parent = f"{self.begun.id} {self.begun.hash}" if self.begun else beginning(initial)
        before = [each for each in (self.begun, _there(path)) if each and each.id == id]
        latest = max(before, key=lambda each: each.version, default=None)
        text = prompt_file(id, picked.name, parent, told, self.source)
        if latest:
            same = parse(text.encode(), str(path)).turns == latest.turns
            text = prompt_file(id, picked.name, parent, told, self.source, latest.version + (not same))
        write_whole(path, text)
        store = TuneDir(self.folder)
        if result := store.read(RESULT):
            more = {"test": tested_to_json(tested)} if tested else {}
            store.write(RESULT, result | {"picked": {"prompt": picked.name, "rule": rule}} | more)
        return path


def _there(path: Path) -> PromptFile | None:
    """A prompt file, if one is there that can be read."""
    try:
        return load(str(path))
    except DataError:
        return None


def starting(program: object) -> str:
    """The text that a program begins with; see `Optimizer.acompile`. Raises ConfigError for anything else, and for a
    prompt file that does not stand behind its question."""
    if isinstance(program, str):
        return program.strip() or initial()
    if isinstance(program, PromptFile):
        return _behind(program)
    found = getattr(getattr(program, "signature", program), "instructions", None)
    if not isinstance(found, str) or not found.strip():
        raise ConfigError("program", program, "a text, a prompt file, or a program with signature.instructions")
    return found


def _behind(prompt: PromptFile) -> str:
    """What stands behind the question of a prompt file with one turn and nothing to fill in."""
    texts = [turn.text for turn in prompt.turns]
    plain = len(texts) == 1 and texts[0].startswith(_QUESTION) and not prompt.slots and "{format}" not in texts[0]
    behind = prompt.render(Request.ask(_MARK))[-1].text.removeprefix(_MARK).strip() if plain else ""
    if not behind:
        raise ConfigError("program", prompt.id, "a prompt of one turn: the question, then a text without slots")
    return behind
