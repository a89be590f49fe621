"""Joules: read from the machine's own counters where it has them, else estimated and flagged as such.

Two counters, both of the whole machine and both a few lines to read: RAPL (Linux, Intel and AMD processors, readable
by root on most systems) and NVML's total energy (NVIDIA, Volta and later; package `nvidia-ml-py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)

WATTS_PER_BUSY_CORE = 12.0
"""Thermal design power of one core where the processor is unknown (Green Algorithms, Lannelongue et al. 2021)."""

_POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """Counts joules since it was made. `measured`: by hardware counters, not by an estimate."""

    @property
    def measured(self) -> bool: ...

    def read(self) -> float | None:
        """Joules since the start; None when the counter can no longer be read."""
        ...


class CounterMeter:
    """Sums hardware counters: each is a function that returns joules, and wraps around at `range_joules`."""

    measured = True

    def __init__(self, counters: list[tuple[Callable[[], float], float]]) -> None:
        self._counters = counters
        self._last = [count() for count, _ in counters]
        self._joules = 0.0

    def read(self) -> float | None:
        """Read it at least once per wrap (RAPL at 100 W: about every 40 minutes)."""
        try:
            now = [count() for count, _ in self._counters]
        except OSError as error:
            log.warning("the energy counter can no longer be read: %s", error)
            return None
        for (_, wraps_at), before, after in zip(self._counters, self._last, now, strict=True):
            self._joules += after - before if after >= before else after - before + wraps_at
        self._last = now
        return self._joules


class EstimatedMeter:
    """Watts per busy core times the processor seconds that this process and its threads used."""

    measured = False

    def __init__(self) -> None:
        self._start = time.process_time()

    def read(self) -> float:
        """Engines in other processes or on other machines are not seen."""
        return WATTS_PER_BUSY_CORE * (time.process_time() - self._start)


def meter(powercap: Path = _POWERCAP) -> Meter:
    """The best meter that this machine has. It counts the whole machine: keep other work away from a measurement."""
    counters = _rapl(powercap) + _nvml()
    return CounterMeter(counters) if counters else EstimatedMeter()


def _rapl(powercap: Path) -> list[tuple[Callable[[], float], float]]:
    """Processor packages only (`intel-rapl:0`, ...): cores and graphics are zones inside them."""

    def counter(zone: Path) -> Callable[[], float]:
        return lambda: int((zone / "energy_uj").read_text()) / 1e6

    counters = []
    for zone in sorted(powercap.glob("intel-rapl:[0-9]*")):
        if zone.name.count(":") > 1:
            continue
        try:
            counter(zone)()
            counters.append((counter(zone), int((zone / "max_energy_range_uj").read_text()) / 1e6))
        except OSError as error:  # since 2020 most kernels let only root read it
            log.info("RAPL is there but cannot be read: %s", error)
    return counters


def _nvml() -> list[tuple[Callable[[], float], float]]:
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return []

    def counter(gpu: object) -> Callable[[], float]:
        return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3

    counters = []
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            count = counter(pynvml.nvmlDeviceGetHandleByIndex(index))
            count()
            counters.append((count, float("inf")))
    except pynvml.NVMLError as error:  # no driver, or a card without the counter
        log.info("NVIDIA energy cannot be read: %s", error)
    return counters
