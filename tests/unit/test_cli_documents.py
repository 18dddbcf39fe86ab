"""Every `holdfast` command line that a document shows is one that the command takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from holdfast_cli.main import app

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    ROOT / "holdfast_cli/devrun.py",
    *ROOT.glob("holdfast_cli/*.py"),
]


def shown_commands() -> list[str]:
    """From code spans, and from lines of blocks that begin with the command."""
    found: set[str] = set()
    for source in SOURCES:
        text = source.read_text()
        found |= set(re.findall(r"`(?:\.venv/bin/)?holdfast ([a-z][^`]*)`", text))
        found |= {
            line.split("  ")[0] for line in re.findall(r"^ *\.venv/bin/holdfast (\w.*)$", text, flags=re.MULTILINE)
        }
    return sorted(command.replace("…", "2026-01-01") for command in found)


@pytest.mark.parametrize("command", shown_commands())
def test_a_command_line_that_is_shown_is_understood(command: str) -> None:
    words = [word for word in shlex.split(command.split("#", maxsplit=1)[0]) if not word.startswith("{")]
    group = typer.main.get_command(app)
    context = group.make_context("holdfast", words, resilient_parsing=False)
    name, found, rest = group.resolve_command(context, [*context._protected_args, *context.args])  # type: ignore[attr-defined]
    assert name
    assert found.make_context(name, rest, parent=context)


def test_documents_show_commands() -> None:
    assert len(shown_commands()) > 5
