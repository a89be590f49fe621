"""Fixtures of all tests."""

import os
from pathlib import Path

import hypothesis
import pytest

# How long an example takes depends on what else the machine does: timings belong into benchmarks.
hypothesis.settings.register_profile("poise", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("poise")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public test data, or a skip where there is none."""
    folder = os.environ.get("POISE_TEST_DATA")
    if not folder:
        pytest.skip("needs the data of POISE_TEST_DATA, which is not set")
    return Path(folder)
