"""Documents keep their promises: links resolve, quoted commands exist, the changelog knows the version."""

import re
from pathlib import Path

import poise

ROOT = Path(poise.__file__).parents[2]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
POISE = re.compile(r"^\s*\$?\s*(?:\.venv/bin/)?poise ([a-z][\w-]*)", re.MULTILINE)
MAKE = re.compile(r"^\s*\$?\s*make ((?:[a-z]+ ?)+)", re.MULTILINE)


def documents():
    """(path, text) of every Markdown file for readers (prompt files are not)."""
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("examples/*.md")):
        yield path, path.read_text(encoding="utf-8")


def shell(pattern):
    """(file, what the pattern captured) over all code blocks."""
    return [
        (path.name, found)
        for path, text in documents()
        for block in FENCE.findall(text)
        for found in pattern.findall(block)
    ]


def test_relative_links_resolve():
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path, text in documents()
        for target in LINK.findall(FENCE.sub("", text))
        if not re.match(r"[a-z]+:|#", target) and not (path.parent / target.partition("#")[0]).exists()
    ]
    assert broken == []


def test_quoted_poise_commands_exist():
    from typer.main import get_command

    from poise.cli import app

    known = set(get_command(app).commands)
    assert [(name, command) for name, command in shell(POISE) if command not in known] == []


def test_quoted_make_targets_exist():
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= known
    assert [(name, line) for name, line in shell(MAKE) if not set(line.split()) <= known] == []


def test_the_changelog_knows_the_version():
    newest = re.search(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (poise.__version__, "Unreleased")


def test_decisions_are_numbered_without_gaps_and_have_their_parts():
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        headings = re.findall(r"^## (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequence"], path.name
