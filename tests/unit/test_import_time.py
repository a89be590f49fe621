"""What `import poise` and `poise --help` may load. How long they take is measured by bench/import_time.py."""

import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp", "datasets", "gguf", "huggingface_hub", "math_verify", "matplotlib", "numpy", "plotly", "pydantic", "ray",
    "reasoning_gym", "rich", "scipy", "sympy", "tensorboardX", "torch", "transformers", "typer", "xllamacpp",
}  # fmt: skip
COMMAND_LINE = {"numpy", "rich", "typer", "pydantic"}


def loaded(code):
    """Top-level modules in memory after running `code` in a fresh interpreter."""
    code += "\nimport sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_import_poise_loads_nothing_heavy():
    assert loaded("import poise") & HEAVY == set()


def test_the_words_load_nothing_heavy():
    assert loaded("from poise import Answer, Budget, Request, Strategy") & HEAVY == set()


def test_help_loads_no_engine_and_no_report():
    code = "from typer.testing import CliRunner\nfrom poise.cli import app\n"
    code += "assert CliRunner().invoke(app, '--help').exit_code == 0"
    assert loaded(code) & (HEAVY - COMMAND_LINE) == set()


def test_scorers_load_what_they_read_with_when_they_score():
    assert loaded("import poise.scoring.verifier") & HEAVY == set()
    assert loaded("from poise.scorers import Scorers; dict(Scorers())") & (HEAVY - {"numpy"}) == set()
    code = "from typer.testing import CliRunner\nfrom poise.cli import app\n"
    code += "assert 'verifier' in CliRunner().invoke(app, 'strategies').output"
    assert loaded(code) & (HEAVY - COMMAND_LINE) == set()


@pytest.mark.parametrize("module", ["poise.run", "poise.engines.scripted", "poise.strategies.self_consistency"])
def test_the_core_of_a_run_is_standard_library_and_numpy(module):
    assert loaded(f"import {module}") & (HEAVY - {"numpy"}) == set()
