"""A wall clock that can be set, under every process of a test at once."""

from pathlib import Path

from tests.support.system import ROOT

# The library breaks the system call behind time.sleep where it leaves monotonic clocks alone; waiting does not use it.
SLEEP = """
import threading, time
time.sleep = lambda seconds: threading.Event().wait(seconds) and None
"""


def clock_library() -> Path | None:
    """The library that does it, None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class WallClock:
    """What processes started with `environment` take for the time. Monotonic clocks go on as ever, as they do."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        shim = folder / "shim"
        shim.mkdir()
        (shim / "sitecustomize.py").write_text(SLEEP)
        self.environment = {
            "PYTHONPATH": f"{shim}:{ROOT}",
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # In seconds: how soon a change is seen.
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }

    def set(self, hours: int) -> None:
        """Have it differ by so many hours from the machine's."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{hours:+d}h\n")
        new.replace(self._file)
