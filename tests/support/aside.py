"""Runs a module of the tests in a process of its own, so that it does not slow down who measures beside it."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.system import ROOT


@dataclass
class Aside:
    """The process."""

    process: subprocess.Popen[bytes]

    def result(self, timeout_s: float = 90.0) -> Any:
        """The JSON that it prints at its end."""
        out, _ = self.process.communicate(timeout=timeout_s)
        return json.loads(out)


@contextlib.contextmanager
def aside(module: str, *arguments: object) -> Iterator[Aside]:
    """Start it; ended in any case."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    try:
        yield Aside(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
