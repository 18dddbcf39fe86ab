"""How the processes reach Redis."""

from tests.chaos.fault import Way
from tests.chaos.rig import Rig
from tests.support.certificates import Certificates
from tests.support.names import NAME, Names
from tests.support.netns import Namespace
from tests.support.proxy import TcpProxy
from tests.support.redis_server import RedisServer
from tests.support.system import free_port
from tests.support.wall_clock import ShiftedClock

USER, PASSWORD, DATABASE = "holdfast", "right-secret", 1


def _proxied(rig: Rig) -> str:
    rig.proxy = rig.keep(TcpProxy(rig.redis.port))
    return rig.proxy.url


def _as_user(rig: Rig) -> str:
    return f"redis://{USER}:{PASSWORD}@127.0.0.1:{rig.redis.port}/{DATABASE}"


def _by_name(rig: Rig) -> str:
    rig.names = Names(rig.folder)
    rig.names.leads_to("127.0.0.1")
    rig.environment |= rig.names.environment
    return f"redis://{NAME}:{rig.redis.port}/0"


def _encrypted(rig: Rig) -> str:
    rig.certificates = Certificates(rig.folder / "tls")
    rig.tls_port = free_port()
    rig.set_tls(rig.certificates.good, rig.tls_port)
    return f"rediss://localhost:{rig.tls_port}/0?ssl_ca_certs={rig.certificates.authority}"


def _under_a_clock(rig: Rig) -> str:
    rig.clock = ShiftedClock(rig.folder)
    rig.environment |= rig.clock.environment
    return rig.redis.url


def _elsewhere(rig: Rig) -> RedisServer:
    rig.namespace = rig.keep(Namespace())
    open_to_us = ("--protected-mode", "no")
    return RedisServer(args=open_to_us, host=rig.namespace.address, prefix=rig.namespace.prefix)


DIRECT = Way("direct", "straight to the server", lambda rig: rig.redis.url)
PROXY = Way("proxy", "through a TCP proxy", _proxied)
AS_USER = Way(
    "user",
    f"as a user with a password, on database {DATABASE}",
    _as_user,
    lambda _rig: RedisServer(args=("--user", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")),
)
BY_NAME = Way("name", "by a name that a name service resolves", _by_name)
TLS = Way("TLS", "over TLS, the certificate checked", _encrypted)
CLOCK = Way("clock", "straight to the server, every process under a clock that can be set", _under_a_clock)
NETWORK = Way("network", "in a network namespace of its own, with a firewall", lambda rig: rig.redis.url, _elsewhere)
