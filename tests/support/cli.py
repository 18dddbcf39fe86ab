"""The `holdfast` command within a test's own process: where it is called, and what it answers."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast_cli.main import execute
from tests.support.system import free_port

OURS = ("ACCOUNTS_FILE", "API_TOKEN", "FORCE_COLOR", "NO_COLOR", "PORT")


@dataclass(frozen=True)
class Outcome:
    """The exit code, and what was written."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON on standard output."""
        assert self.out, self.err
        return json.loads(self.out)


def settle(folder: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    """Work in `folder`, on that database and without a Redis, whatever the tests' own environment says."""
    monkeypatch.chdir(folder)
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setenv("DATABASE_URL", database_url)


def called(capture: pytest.CaptureFixture[Any], *arguments: str) -> Outcome:
    """The outcome of `holdfast ARGUMENTS`."""
    capture.readouterr()
    code = execute(arguments)
    sys.stdout.flush()
    out, err = capture.readouterr()
    # Files may go to standard output, and are no text.
    return Outcome(code, _text(out, "replace"), _text(err, "strict"))


def _text(written: str | bytes, errors: str) -> str:
    return written if isinstance(written, str) else written.decode("utf-8", errors)
