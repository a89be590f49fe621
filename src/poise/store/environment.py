"""What a run ran on: versions, machine and models, for the record."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

import poise
from poise.costs import Card
from poise.records import Json


def environment(cards: Mapping[str, Card]) -> Json:
    """Poise, Python, machine, the versions of the packages that Poise uses, and the card of each engine by name."""
    return {
        "poise": poise.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": _packages(),
        "engines": {name: {k: v for k, v in dataclasses.asdict(card).items() if v} for name, card in cards.items()},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _packages() -> dict[str, str]:
    """Versions of whatever is installed of what Poise asks for, extras included."""
    from importlib import metadata

    try:
        required = metadata.requires("poise") or []
    except metadata.PackageNotFoundError:  # running from a source tree
        return {}
    names = {re.split(r"[^\w.-]", wanted, maxsplit=1)[0] for wanted in required if "'dev'" not in wanted}
    versions = {}
    for name in sorted(names):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
