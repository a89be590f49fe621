"""Counters, their wraps, and the estimate where there are none."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from poise.evals import energy


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


def zone(folder: Path, name: str, microjoules: int) -> Path:
    path = folder / name
    path.mkdir()
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text("10000000\n")
    return path


def test_packages_are_summed_and_their_inner_zones_are_not(tmp_path: Path) -> None:
    first, second = zone(tmp_path, "intel-rapl:0", 1_000_000), zone(tmp_path, "intel-rapl:1", 0)
    core = zone(tmp_path, "intel-rapl:0:0", 0)
    meter = energy.meter(tmp_path)
    assert meter.measured
    assert meter.read() == 0
    (first / "energy_uj").write_text("3000000")
    (second / "energy_uj").write_text("500000")
    (core / "energy_uj").write_text("900000")
    assert meter.read() == pytest.approx(2.5)


def test_a_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", 9_000_000)
    meter = energy.meter(tmp_path)
    (package / "energy_uj").write_text("1000000")  # 1 J to the top at 10 J, and 1 J more
    assert meter.read() == pytest.approx(2)
    (package / "energy_uj").write_text("4000000")
    assert meter.read() == pytest.approx(5)


def test_a_counter_that_vanishes_reads_none(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", 0)
    meter = energy.meter(tmp_path)
    (package / "energy_uj").unlink()
    assert meter.read() is None


def test_an_unreadable_counter_is_no_meter(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    assert not energy.meter(tmp_path).measured


def test_without_counters_busy_time_is_charged_and_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([5.0, 7.5])
    monkeypatch.setattr(energy.time, "process_time", lambda: next(clock))
    meter = energy.meter(tmp_path)
    assert not meter.measured
    assert meter.read() == pytest.approx(2.5 * energy.WATTS_PER_BUSY_CORE)


class NoCounter(Exception):
    pass


def nvidia(joules: list[float]) -> SimpleNamespace:
    """Two cards; the second has no energy counter."""

    def total(gpu: int) -> float:
        if gpu == 1:
            raise NoCounter
        return joules.pop(0) * 1e3

    return SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetTotalEnergyConsumption=total,
        NVMLError=NoCounter,
    )


def test_a_gpu_counts_from_the_start_of_the_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvidia([100.0, 100.0, 130.0]))
    meter = energy.meter(tmp_path)
    assert meter.measured
    assert meter.read() == pytest.approx(30)
