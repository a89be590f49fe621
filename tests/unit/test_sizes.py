"""The limits that keep every file readable in one sitting. They move only with a decision record."""

import ast
import functools
import re
from pathlib import Path

import poise

SRC = Path(poise.__file__).parent
EXAMPLES = SRC.parents[1] / "examples"
FILE_LINES, LONG_FILE_LINES, LONG_FILES_SHARE = 400, 300, 0.1
FUNCTION_LINES, PARAMETERS = 60, 6
EXAMPLE_LINES = 40


def lines_of(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@functools.cache
def functions():
    """(where, node) of every function in the package."""
    return [
        (f"{path.relative_to(SRC)}:{node.lineno} {node.name}", node)
        for path in sorted(SRC.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def parameters(node):
    """Parameters to be kept in mind by a caller: neither the object itself nor the flags of a command line."""
    args = node.args
    every = (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg)
    return [arg.arg for arg in every if arg and arg.arg not in ("self", "cls") and not is_flag(arg)]


def is_flag(arg):
    return arg.annotation is not None and re.search(r"typer\.(Option|Argument)", ast.unparse(arg.annotation))


def test_files_are_short():
    sizes = {str(path.relative_to(SRC)): lines_of(path) for path in SRC.rglob("*.py")}
    assert len(sizes) > 10, "the package was not found"
    assert {name: size for name, size in sizes.items() if size > FILE_LINES} == {}
    long = {name: size for name, size in sizes.items() if size > LONG_FILE_LINES}
    assert len(long) <= LONG_FILES_SHARE * len(sizes), f"too many files above {LONG_FILE_LINES} lines: {long}"


def test_functions_are_short():
    long = {where: node.end_lineno - node.lineno + 1 for where, node in functions()}
    assert {where: size for where, size in long.items() if size > FUNCTION_LINES} == {}


def test_functions_take_few_parameters():
    many = {where: len(parameters(node)) for where, node in functions()}
    assert {where: count for where, count in many.items() if count > PARAMETERS} == {}


def test_examples_are_short():
    sizes = {path.name: lines_of(path) for path in EXAMPLES.glob("*.py")}
    assert {name: size for name, size in sizes.items() if size > EXAMPLE_LINES} == {}
