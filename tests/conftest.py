"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public test data, or a skip where there is none."""
    folder = os.environ.get("POISE_TEST_DATA")
    if not folder:
        pytest.skip("needs the data of POISE_TEST_DATA, which is not set")
    return Path(folder)
