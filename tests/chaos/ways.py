"""How the processes reach Redis."""

from tests.chaos.fault import Way
from tests.chaos.rig import Rig
from tests.support.proxy import TcpProxy

USER, PASSWORD, DATABASE = "holdfast", "right-secret", 1


def _proxied(rig: Rig) -> str:
    rig.proxy = rig.keep(TcpProxy(rig.redis.port))
    return rig.proxy.url


def _as_user(rig: Rig) -> str:
    rig.admin.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")
    return f"redis://{USER}:{PASSWORD}@127.0.0.1:{rig.redis.port}/{DATABASE}"


DIRECT = Way("direct", "straight to the server", lambda rig: rig.redis.url)
PROXY = Way("proxy", "through a TCP proxy", _proxied)
AS_USER = Way("user", "as a user with a password, on database 1", _as_user)
