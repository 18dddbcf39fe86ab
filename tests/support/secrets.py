"""Secrets that cannot be mistaken for anything else, and the search for them wherever a process may have left them."""

import base64
import re
import secrets
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import psutil
import redis
import sqlalchemy

CORE_LENGTH = 14
# What urls, shells, JSON, Python and regular expressions each read in a way of their own.
AWKWARD = "@/:#?&=+%\"'\\ ä$[~"
# What a header may carry as a token.
HEADER_SAFE = "/+:%\"'\\&=$[~"
EXCERPT = 60


@dataclass(frozen=True)
class Secret:
    """Two plain cores around characters that need escaping: one core found anywhere is a leak of half of it."""

    name: str
    text: str
    cores: tuple[str, ...]


@dataclass(frozen=True)
class Leak:
    """Where which form of a secret was found."""

    place: str
    secret: str
    form: str
    excerpt: str


def new_secret(name: str, middle: str = AWKWARD) -> Secret:
    """A secret never used before."""
    head, tail = _core(), _core()
    return Secret(name, f"{head}{middle}{tail}", (head, tail))


def plain_secret(name: str) -> Secret:
    """A secret of letters and digits alone, for where nothing else may stand."""
    core = _core()
    return Secret(name, core, (core,))


def forms_of(core: str) -> Iterator[tuple[str, str]]:
    """How a core looks: letters and digits stay what they are when escaped for a URL, for JSON or by repr."""
    yield "plain", core
    yield "plain, other case", core.swapcase()
    yield "backwards", core[::-1]
    yield "hex", core.encode().hex()
    yield "percent-encoded throughout", "".join(f"%{ord(char):02x}" for char in core)
    for shift in range(3):
        # Bytes before and after share base64 characters with the core: only what is all its own can be searched.
        whole = base64.b64encode(b"\0" * shift + core.encode()).decode().rstrip("=")
        yield f"base64, shifted by {shift}", whole[(shift * 8 + 5) // 6 : -1]


@dataclass
class Evidence:
    """What processes have left behind, piece by piece, each with its place."""

    pieces: list[tuple[str, str]] = field(default_factory=list)

    def add(self, place: str, content: bytes | str) -> None:
        """Keep a piece."""
        self.pieces.append((place, content if isinstance(content, str) else content.decode("utf-8", "replace")))

    def places(self) -> set[str]:
        """Where pieces came from."""
        return {place for place, _ in self.pieces}

    def leaks(self, planted: Iterable[Secret]) -> list[Leak]:
        """Every secret found, once for each place and form."""
        wanted = {form: (one.name, kind) for one in planted for core in one.cores for kind, form in forms_of(core)}
        pattern = re.compile("|".join(map(re.escape, wanted)))
        found: dict[tuple[str, str, str], Leak] = {}
        for place, text in self.pieces:
            for match in pattern.finditer(text):
                name, kind = wanted[match[0]]
                around = text[max(0, match.start() - EXCERPT) : match.end() + EXCERPT]
                found.setdefault((place, name, kind), Leak(place, name, kind, around))
        return list(found.values())

    def assert_clean(self, planted: Sequence[Secret]) -> None:
        """No secret anywhere, in evidence that is there."""
        assert self.pieces
        assert planted
        leaks = self.leaks(planted)
        assert not leaks, "\n".join(map(str, leaks))

    def add_files(self, folder: Path, *, besides: Iterable[Path] = ()) -> None:
        """Every file below `folder`, its name too, except what the test itself has written."""
        left_out = {path.resolve() for path in besides}
        for path in sorted(folder.rglob("*")):
            self.add(f"name of {path.name}", str(path))
            if path.is_file() and path.resolve() not in left_out:
                self.add(f"file {path.relative_to(folder)}", path.read_bytes())

    def add_processes(self, pids: Iterable[int]) -> None:
        """Command lines and titles of these processes and of all below them."""
        for pid in pids:
            top = psutil.Process(pid)
            for process in [top, *top.children(recursive=True)]:
                try:
                    self.add(f"command line of {process.pid}", "\0".join([process.name(), *process.cmdline()]))
                    self.add(f"threads of {process.pid}", _thread_names(process.pid))
                except psutil.NoSuchProcess:
                    continue

    def add_redis(self, client: redis.Redis) -> None:
        """Every key with its value, and the names that clients gave themselves."""
        for key in client.scan_iter(count=1000):
            self.add(f"redis key {key!r}", key)
            self.add(f"redis value of {key!r}", repr(_value_of(client, key)))
        for other in client.client_list():
            self.add("redis client name", str(other["name"]))

    def add_database(self, url: str) -> None:
        """Every column of every row of every table."""
        engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
        try:
            tables = sqlalchemy.MetaData()
            tables.reflect(engine)
            with engine.connect() as connection:
                for table in tables.sorted_tables:
                    for row in connection.execute(sqlalchemy.select(table)).mappings():
                        self.add(f"table {table.name}", "\0".join(f"{name}={value}" for name, value in row.items()))
        finally:
            engine.dispose()


def _core() -> str:
    letters = string.ascii_letters + string.digits
    return "Zq7" + "".join(secrets.choice(letters) for _ in range(CORE_LENGTH))


def _thread_names(pid: int) -> str:
    names = []
    for path in Path(f"/proc/{pid}/task").glob("*/comm"):
        try:
            names.append(path.read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return "\0".join(names)


def _value_of(client: redis.Redis, key: bytes) -> object:
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda name: client.lrange(name, 0, -1),
        b"set": client.smembers,
        b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    kind = cast("bytes", client.type(key))
    return None if kind == b"none" else read[kind](key)
