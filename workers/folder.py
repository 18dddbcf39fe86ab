"""The launcher's temporary folder: the status board's socket and the metrics that its processes share."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "holdfast-worker-"
LOCK: Final = "lock"
# A folder this young may belong to a launcher that has not locked it yet.
YOUNG_S: Final = 60.0


@contextmanager
def own_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder for this process alone, gone afterwards. Removes those of launchers that were killed."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove folders whose launcher is gone: nobody holds their lock. Works across containers, unlike process ids."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < YOUNG_S:
                continue
            with (folder / LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # held, somebody else's, or removed meanwhile
