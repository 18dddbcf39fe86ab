"""Wall clocks that can be set, under every process of a test at once: libfaketime's, and a lighter one of our own."""

import mmap
import shutil
import struct
import subprocess
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


def compiler() -> str | None:
    """The C compiler that a `ShiftedClock` needs, None where there is none."""
    return shutil.which("cc") or shutil.which("gcc")


class ShiftedClock:
    """As `WallClock`, set at once, and costing nothing: libfaketime holds threads up for tenths of a second."""

    def __init__(self, folder: Path) -> None:
        place, library = folder / "shifted_clock", folder / "shifted_clock.so"
        place.write_bytes(bytes(mmap.PAGESIZE))
        source = Path(__file__).with_name("wall_clock_shift.c")
        subprocess.run([str(compiler()), "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
        with place.open("r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), 0)
        self.environment = {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(place)}

    def set(self, hours: int) -> None:
        """Have it differ by so many hours from the machine's."""
        self._seconds[: struct.calcsize("q")] = struct.pack("q", hours * 3600)
