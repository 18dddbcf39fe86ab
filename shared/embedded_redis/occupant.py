"""Who holds the place where the embedded Redis has to listen."""

import socket
from collections.abc import Sequence
from contextlib import closing
from enum import Enum

from shared.embedded_redis.address import ServerAddress
from shared.embedded_redis.server import ANSWER_DEADLINE_S, answers, client_for


class Occupant(Enum):
    """What accepts connections there."""

    REDIS = "a Redis that answers"
    PROGRAM = "another program, which is no Redis"

    def sentence(self, address: ServerAddress) -> str:
        """Say what is the matter."""
        return f"{str(address).capitalize()} is taken by {self.value}"

    def problem(self, address: ServerAddress) -> str:
        """Say what is the matter and what to do."""
        use_it = "to use that Redis, start without the embedded one (Procfile in place of Procfile.dev); "
        return (
            f"Embedded Redis: {self.sentence(address)}: {use_it if self is Occupant.REDIS else ''}"
            "otherwise stop it, or name a free port in REDIS_URL, such as redis://localhost:6390/0"
        )


def occupant(address: ServerAddress) -> Occupant | None:
    """Find who accepts connections at `address`, None when nobody does."""
    if not _accepts(address):
        return None
    with closing(client_for(address)) as client:
        return Occupant.REDIS if answers(client) else Occupant.PROGRAM


def bindable(host: str) -> Sequence[str]:
    """Addresses to listen on for `host`: localhost is both loopbacks, where this machine has both."""
    if host.lower() != "localhost":
        return [host] if host else []
    with socket.socket(socket.AF_INET6) if socket.has_ipv6 else socket.socket() as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


def _accepts(address: ServerAddress) -> bool:
    try:
        if address.socket is not None:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(ANSWER_DEADLINE_S)
                probe.connect(str(address.socket))
            return True
        with socket.create_connection((address.host, address.port), ANSWER_DEADLINE_S):
            return True
    except OSError:
        return False
