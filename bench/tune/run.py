"""Prompt tuning on the embedded model, measured: searches of equal budget by many ways, shorter answers, phrases alone,
a front with a choice per question, and transfer; TEST asked once, all with intervals. One command; it goes on where it
stopped, and what is done costs nothing. See README.md beside this. Needs the extra `torch`.

    .venv/bin/python bench/tune/run.py --gsm8k FOLDER --bbh FOLDER    # all of it: some eight hours on two cores
    .venv/bin/python bench/tune/run.py --only E1                      # E1 alone: four to five on its main tasks
    .venv/bin/python bench/tune/run.py --only 'E1 default gsm'        # one task of it
    .venv/bin/python bench/tune/run.py --quick                        # does every part work? figures mean nothing
    .venv/bin/python bench/tune/run.py --table                        # measure nothing, show what is there

To shrink it: fewer --seeds (E1 takes as long as they are many), smaller --tokens (the budget of a search; with less
than three steps as published the last target cannot be told), smaller --dev and --test (what a search found costs about
as much to judge as to find), or --only. A folder keeps its sizes, but for --tokens, which may grow: take another --run.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import platform
from pathlib import Path

from experiments import measure, show
from running import kept_sizes
from sets import bbh, gsm8k
from ways import PROCEDURAL, QUICK, Sizes, Subject


def main() -> None:
    """Measure and show."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--run", type=Path, default=Path("runs/tune-experiments"))
    words.add_argument("--only", default="", help='searches whose "EXPERIMENT MODEL TASK WAY SEED" this matches')
    words.add_argument("--gsm8k", type=Path, help="a folder with GSM8K's test.jsonl; without it that task is skipped")
    words.add_argument("--bbh", type=Path, help="a folder with a JSONL file for each task of BIG-Bench Hard")
    words.add_argument("--tokens", type=int, help="the budget of a search")
    words.add_argument("--dev", type=int, help="questions that judge a search")
    words.add_argument("--test", type=int, help="questions asked at the end")
    words.add_argument("--seeds", type=int, nargs="+", help="of E1")
    words.add_argument("--rate", type=float, default=400.0, help="tokens a second, for the estimate")
    words.add_argument("--quick", action="store_true", help="a few questions, a folder of its own")
    words.add_argument("--table", action="store_true", help="measure nothing; the tables of what is there")
    given = words.parse_args()
    known = {"tokens": given.tokens, "dev": given.dev, "test": given.test, "seeds": tuple(given.seeds or ())}
    sizes = dataclasses.replace(QUICK if given.quick else Sizes(), **{k: v for k, v in known.items() if v})
    subjects: list[Subject] = [*PROCEDURAL]
    subjects += [gsm8k(given.gsm8k)] if given.gsm8k else []
    subjects += bbh(given.bbh) if given.bbh else []
    folder = given.run / "quick" if given.quick else given.run
    if given.table:
        sizes = kept_sizes(folder, sizes)
    else:
        asyncio.run(measure(folder, sizes, subjects, given.only, rate=given.rate))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    print(show(folder, sizes, given.only, machine))


if __name__ == "__main__":
    main()
