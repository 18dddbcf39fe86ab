"""Where the embedded Redis has to listen, read out of REDIS_URL."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from redis.connection import parse_url

from shared.core.errors import SettingsError

DEFAULT_PORT: Final = 6379
DATABASES: Final = 16
ELSEWHERE: Final = (
    "leave the embedded Redis out (Procfile in place of Procfile.dev), or set REDIS_URL to redis://localhost:6379/0"
)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A TCP port of this machine, or a unix socket (then `host` is ""), and who may log in there."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    socket: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    databases: int = DATABASES

    def __str__(self) -> str:
        return f"unix socket {self.socket}" if self.socket else f"port {self.port}"

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Raise SettingsError, with the cure, for what a server of our own on this machine cannot be."""
        parts = urlsplit(url)
        if parts.scheme == "rediss":
            raise SettingsError(problems=[f"REDIS_URL: the embedded Redis does not speak TLS (rediss://); {ELSEWHERE}"])
        facts = parse_url(url)  # type: ignore[no-untyped-call] # the library's
        path = facts.get("path")
        host = str(facts.get("host", "localhost"))
        if not path and not is_loopback(host):
            raise SettingsError(
                problems=[f"REDIS_URL: {host!r} is not this machine's loopback, no Redis is started here; {ELSEWHERE}"]
            )
        return cls(
            host="" if path else host,
            port=0 if path else int(facts.get("port", DEFAULT_PORT)),
            socket=Path(path).absolute() if path else None,
            username=facts.get("username"),
            password=facts.get("password"),
            databases=max(DATABASES, int(facts.get("db", 0)) + 1),
        )


def is_loopback(host: str) -> bool:
    """Whether `host` can only mean this machine. Names other than localhost are not resolved."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
