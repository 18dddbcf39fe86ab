"""What a listener puts up with, as waitress is told it."""

import resource
from dataclasses import dataclass, field
from typing import Final

from waitress.adjustments import Adjustments

# Half-open connections exhaust waitress's default of 100.
CONNECTION_LIMIT: Final = 1000
# Descriptors that no crowd of clients may take: for the database, Redis, files, and large answers on their way.
KEPT_DESCRIPTORS: Final = 256
MIN_CONNECTIONS: Final = 64


def connection_limit(descriptors: int) -> int:
    """How many connections a listener takes in a process that may open so many descriptors and has two listeners."""
    return max(MIN_CONNECTIONS, min(CONNECTION_LIMIT, (descriptors - KEPT_DESCRIPTORS) // 2))


def _allowed_here() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTION_LIMIT if soft == resource.RLIM_INFINITY else connection_limit(soft)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a listener puts up with. Seconds and bytes."""

    threads: int = 8
    connection_limit: int = field(default_factory=_allowed_here)
    channel_timeout_s: int = 15
    header_bytes: int = 16_384
    body_bytes: int = 65_536

    def adjustments(self, host: str, port: int) -> Adjustments:
        """The same for waitress. Raises OSError when `host` is no address of this machine."""
        try:
            return self._adjustments(host, port)
        except ValueError as error:
            # Not repeated: what stands there by mistake may be a secret.
            raise OSError("HOST is no address to listen on") from error

    def _adjustments(self, host: str, port: int) -> Adjustments:
        return Adjustments(
            host=host,
            port=port,
            threads=self.threads,
            connection_limit=self.connection_limit,
            channel_timeout=self.channel_timeout_s,
            cleanup_interval=5,
            max_request_header_size=self.header_bytes,
            max_request_body_size=self.body_bytes,
            asyncore_use_poll=True,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
