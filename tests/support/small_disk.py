"""A file system of a few megabytes that a test may fill: a tmpfs, for which one has to be root."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

BLOCK_BYTES = 4096


def cannot_mount() -> str | None:
    """Why there is none to be had; None where there is."""
    if os.geteuid() != 0:
        return "not root, and so no small file system that could be filled"
    return None if shutil.which("mount") else "no mount"


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """An empty file system of that size at `place`, whatever was there hidden meanwhile."""
    options = f"size={megabytes}m,mode=0777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "holdfast-test", str(place)], check=True)
    try:
        yield place
    finally:
        # Lazily: whoever was killed and still holds a file there would otherwise keep it for good.
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def filled(place: Path) -> Iterator[None]:
    """Meanwhile not a byte is left on the file system of `place`."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * BLOCK_BYTES)
    try:
        yield
    finally:
        ballast.unlink()
