"""One word per idea, and nothing in the text that belongs to one machine or to later."""

import ast
import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import poise
from poise import registry
from poise.errors import ConfigError

SRC = Path(poise.__file__).parent
ROOT = SRC.parents[1]
FORBIDDEN = re.compile(r"approach(es)?|(handler|manager|helper|util)s?")
LONGEST_LITERAL = 300  # a caption fits
PROMPT_LIKE = re.compile(
    r"(?i)step by step|\byou are an?\b|\bthink (first|carefully|aloud)\b|\banswer the\b.*\bquestion"
)
LATER = re.compile("|".join((r"\bTO" + "DO", r"\bFIX" + "ME", r"\bX" + "XX")) + r"\b")
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/\w")


@functools.cache
def modules():
    """(name relative to the package, syntax tree) of every module."""
    return [(str(path.relative_to(SRC)), ast.parse(path.read_bytes())) for path in sorted(SRC.rglob("*.py"))]


def texts():
    """(name, text) of every text file that is, or may become, part of the repository."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout, or no git")
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    for path in (ROOT / name for name in names if name):
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture, or deleted and not yet committed


def names_bound(node):
    """The identifiers that a node introduces."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.arg():
            return [node.arg]
        case ast.Name(ctx=ast.Store()):
            return [node.id]
        case ast.Attribute(ctx=ast.Store()):
            return [node.attr]
        case ast.alias(asname=str(asname)):
            return [asname]
    return []


def forbidden(identifier):
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return any(FORBIDDEN.fullmatch(word.lower()) for word in words)


def docstrings(tree):
    """Ids of the constants that are docstrings (of attributes too: a string that stands alone)."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def test_identifiers_use_the_vocabulary():
    found = []
    for name, tree in modules():
        bound = [one for node in ast.walk(tree) for one in names_bound(node)]
        bound += Path(name).with_suffix("").parts
        found += [f"{name}: {one}" for one in bound if forbidden(one) or one.endswith("Result")]
    assert found == []


def test_the_package_does_not_print():
    calls = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []


def test_every_module_says_what_it_is():
    assert [name for name, tree in modules() if not ast.get_docstring(tree)] == []


def test_prompts_and_long_texts_are_files():
    found = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for plain in [docstrings(tree)]
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in plain
        if len(node.value) > LONGEST_LITERAL or PROMPT_LIKE.search(node.value)
    ]
    assert found == [], "prompts, pages and other long texts belong in files of their own"


def test_nothing_is_put_off_in_comments():
    assert [name for name, text in texts() if LATER.search(text)] == []


def test_no_path_of_one_machine():
    assert [name for name, text in texts() if MACHINE_PATH.search(text)] == []


def test_cod_alone_names_nothing():
    named = [
        f"{name}:{node.lineno}"
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        if node.value.value == "cod"
    ]
    assert named == []
    assert [path.name for path in SRC.rglob("cod.*")] == []
    with pytest.raises(ConfigError, match=r"chain_of_draft.*chain_of_density"):
        registry.strategy_class("cod")
