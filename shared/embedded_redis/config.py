"""The server's configuration as text, and what its last words mean. Pure."""

import re
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Final

from shared.embedded_redis.address import ServerAddress

SAFE: Final = re.compile(r"[A-Za-z0-9_./:@-]+")

# The server's own words, of Redis 6.2 to 8 and of Valkey.
PORT_TAKEN: Final = re.compile(r"Address already in use")
DATA_UNREADABLE: Final = re.compile(
    r"Can't handle RDB format version|reading the append only file|AOF MANIFEST FILE ERROR|"
    r"Internal error in RDB reading|Wrong signature trying to load|AOF loading aborted"
)


class Ending(Enum):
    """Why a server ended that was not told to."""

    PORT_TAKEN = auto()
    DATA_UNREADABLE = auto()
    OTHER = auto()


def config_text(address: ServerAddress, *, folder: Path, bind: Sequence[str]) -> str:
    """Give what the server reads on its standard input: so no password stands in a process list or a file."""
    lines = [
        _line("dir", str(folder)),
        "daemonize no",
        "appendonly yes",
        "appendfsync everysec",
        # The append-only file is the memory; snapshots beside it would only cost.
        'save ""',
        # Jobs must be refused when memory is full, never thrown away.
        "maxmemory-policy noeviction",
        f"port {address.port}",
        f"databases {address.databases}",
        *_listening(address, bind),
        *_login(address),
    ]
    return "\n".join(lines) + "\n"


def ending(last_words: Sequence[str]) -> Ending:
    """Read the cause out of the server's last lines."""
    text = "\n".join(last_words)
    if PORT_TAKEN.search(text):
        return Ending.PORT_TAKEN
    if DATA_UNREADABLE.search(text):
        return Ending.DATA_UNREADABLE
    return Ending.OTHER


def _listening(address: ServerAddress, bind: Sequence[str]) -> list[str]:
    if address.socket is not None:
        return [_line("unixsocket", str(address.socket)), "unixsocketperm 700"]
    return [_line("bind", *bind)]


def _login(address: ServerAddress) -> list[str]:
    if address.password is None:
        return []
    if address.username in {None, "default"}:
        return [_line("requirepass", address.password)]
    return [
        "user default off",
        _line("user", str(address.username), "on", f">{address.password}", "~*", "&*", "+@all"),
    ]


def _line(*words: str) -> str:
    return " ".join([words[0], *(_quoted(word) for word in words[1:])])


def _quoted(word: str) -> str:
    """Quote as the server unquotes: what is not plain goes byte by byte, in hexadecimal."""
    if SAFE.fullmatch(word):
        return word
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"'
