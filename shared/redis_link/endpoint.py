"""Where REDIS_URL points to, and the options for a connection to it."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url

from shared.core.redact import redact_url

Kind = Literal["tcp", "tls", "unix"]

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 6379
UNREADABLE: Final = "host and port cannot be read; special characters in a password must be percent-encoded"
# Options of redis-py's URLs that would bring back what the link does itself, or break its promise of bytes.
OVERRULED: Final = frozenset(
    {
        "connection_class",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "legacy_responses",
        "retry_on_error",
        "retry_on_timeout",
        "client_name",
        "timeout",
    }
)
# Anything else may be the half of a password with a raw & and = in it.
PLAIN: Final = re.compile(r"[a-z_]{1,40}")
CLASSES: Final[Mapping[Kind, type]] = {
    "tcp": Connection,
    "tls": SSLConnection,
    "unix": UnixDomainSocketConnection,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address; `options` are those of redis-py's connection classes, credentials among them."""

    kind: Kind
    host: str
    port: int
    path: str
    shown: str
    max_connections: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def literal(self) -> bool:
        """Whether the host is an address already, so that nothing needs resolving."""
        try:
            ipaddress.ip_address(self.host.split("%", 1)[0])
        except ValueError:
            return False
        return True


def _parsed(url: str) -> dict[str, Any]:
    try:
        return dict(parse_url(url))  # type: ignore[no-untyped-call] # untyped in redis-py
    except ValueError as error:
        # Python's own words about a port repeat what stands there, which may be the half of a password.
        told = str(error) if str(error).startswith(("Invalid value for", "Redis URL must specify")) else UNREADABLE
        raise ValueError(told) from None


def endpoint_of(url: str) -> Endpoint:
    """Read a URL of redis-py's. Raises ValueError, without any credential in it, when it makes no sense."""
    given = _parsed(url)
    options = {name: value for name, value in given.items() if name not in OVERRULED}
    scheme = urlsplit(url).scheme
    kind: Kind = "unix" if scheme == "unix" else "tls" if scheme == "rediss" else "tcp"
    most = options.pop("max_connections", None)
    endpoint = Endpoint(
        kind=kind,
        host=str(options.get("host", DEFAULT_HOST)),
        port=int(options.get("port", DEFAULT_PORT)),
        path=str(options.get("path", "")),
        shown=redact_url(url),
        max_connections=most,
        options=options,
    )
    if not _accepted(kind, options):
        wrong = [
            name if PLAIN.fullmatch(name) else "…" for name in options if not _accepted(kind, {name: options[name]})
        ]
        raise ValueError(f"unknown option in the URL, or one of no use there: {', '.join(wrong) or 'in combination'}")
    return endpoint


def _accepted(kind: Kind, options: Mapping[str, Any]) -> bool:
    """Whether redis-py makes a connection of these; it raises what it likes for an option it does not know."""
    try:
        CLASSES[kind](**options)
    except Exception:  # noqa: BLE001 - as above; the caller says which option it was
        return False
    return True
