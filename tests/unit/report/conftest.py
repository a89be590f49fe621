"""A synthetic run and a synthetic optimisation, read once."""

import pytest
from report_runs import ARMS, fake_config, fake_rows, write_run
from tune_runs import FakeTuning

from poise.report.read import read
from poise.report.tuning.read import read_tuning


@pytest.fixture(scope="session")
def run_path(tmp_path_factory):
    config = fake_config(ARMS, 24, compare=[["self_consistency:n=8", "direct"], ["direct", "cot"]])
    return write_run(tmp_path_factory.mktemp("report") / "run", fake_rows(), config)


@pytest.fixture(scope="session")
def reading(run_path):
    return read(run_path)


@pytest.fixture(scope="session")
def tune_path(tmp_path_factory):
    return FakeTuning().write(tmp_path_factory.mktemp("tuning") / "run")


@pytest.fixture(scope="session")
def tuning(tune_path):
    return read_tuning(tune_path)
