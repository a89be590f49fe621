"""A synthetic run, read once."""

import pytest
from report_runs import ARMS, fake_config, fake_rows, write_run

from poise.report.read import read


@pytest.fixture(scope="session")
def run_path(tmp_path_factory):
    config = fake_config(ARMS, 24, compare=[["self_consistency:n=8", "direct"], ["direct", "cot"]])
    return write_run(tmp_path_factory.mktemp("report") / "run", fake_rows(), config)


@pytest.fixture(scope="session")
def reading(run_path):
    return read(run_path)
