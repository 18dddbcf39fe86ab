"""The folder of the append-only file: one keeper at a time, and unreadable contents set aside."""

import fcntl
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from shared.core.errors import SettingsError

LOCK: Final = "keeper.lock"
ASIDE: Final = "unreadable-"


class DataFolder:
    """`path`, made when absent. `claim` before use; `release` is safe at any time and twice."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Raise SettingsError when the folder cannot be written, or another embedded Redis uses it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / LOCK).open("w")
        except OSError as error:
            raise SettingsError(
                problems=[
                    f"Embedded Redis: cannot write {self.path} ({error.strerror}): make it writable for this user"
                ]
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise SettingsError(
                problems=[
                    f"Embedded Redis: another one is running on {self.path}: stop it first, or start this one elsewhere"
                ]
            ) from None

    def release(self) -> None:
        """Let another embedded Redis use the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def set_aside(self, now: datetime) -> Path:
        """Move what the server wrote into a folder beside it, and return that folder."""
        aside = self.path / f"{ASIDE}{now.astimezone(UTC):%Y%m%dT%H%M%S%f}"
        aside.mkdir()
        for entry in list(self.path.iterdir()):
            if entry.name != LOCK and not entry.name.startswith(ASIDE):
                entry.rename(aside / entry.name)
        return aside
