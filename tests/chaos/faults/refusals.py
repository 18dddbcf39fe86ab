"""A server that refuses us: passwords, permissions, databases, TLS. Healing waits for the next scheduled attempt."""

from collections.abc import Iterator
from pathlib import Path

from tests.chaos.fault import HEALED_REFUSED_S, Expect, Fault, closed, redis_says
from tests.chaos.rig import Rig
from tests.chaos.ways import AS_USER, DATABASE, DIRECT, PASSWORD, PROXY, TLS, USER
from tests.support import certificates
from tests.support.certificates import Certificates
from tests.support.proxy import Manner
from tests.support.system import free_port

# The delay that refused attempts keep: 15 s, and half a second to connect. Shortened, healing is as much sooner.
DELAY_S = 3
SHORTENED = {"REDIS_RETRY_MAX_DELAY_S": str(DELAY_S)}
HEALED_SHORTENED_S = HEALED_REFUSED_S - 15 + DELAY_S
TWO_MINUTES_S = 121.0


def refusal(code: str, *, heal_s: float = HEALED_SHORTENED_S) -> Expect:
    """The connections are closed, and new ones are refused."""
    return closed(code, heal_s=heal_s)


def set_user(rig: Rig, *rules: str) -> None:
    rig.admin.execute_command("ACL", "SETUSER", USER, *rules)


def wrong_password(rig: Rig) -> Iterator[None]:
    set_user(rig, "resetpass", ">another")
    rig.happens_now()
    rig.kill_clients()
    yield
    set_user(rig, "resetpass", f">{PASSWORD}")


def password_rotated(rig: Rig) -> Iterator[None]:
    set_user(rig, "resetpass", ">another")
    rig.happens_now()
    # What is connected stays so; only whoever needs a new connection learns of it.
    for client in rig.admin.client_list():
        if client["name"] and not client["name"].endswith(("-beat", "chaos")):
            rig.admin.client_kill_filter(_id=client["id"])
    yield
    set_user(rig, "resetpass", f">{PASSWORD}")


def password_appears(rig: Rig) -> Iterator[None]:
    rig.admin.config_set("requirepass", "new")
    rig.happens_now()
    rig.kill_clients()
    yield
    rig.admin.config_set("requirepass", "")


def may_not_connect(rig: Rig) -> Iterator[None]:
    set_user(rig, "nocommands")
    rig.happens_now()
    rig.kill_clients()
    yield
    set_user(rig, "+@all")


def may_not_count(rig: Rig) -> Iterator[None]:
    set_user(rig, "-llen")
    yield
    set_user(rig, "+@all")


def no_database(rig: Rig) -> Iterator[None]:
    args = rig.redis.args
    rig.redis.args = (*args, "--databases", str(DATABASE))
    rig.happens_now()
    rig.restart_redis()
    yield
    rig.redis.args = args
    rig.restart_redis()


def speaks_http(rig: Rig) -> Iterator[None]:
    rig.proxy.behave(Manner.HTTP)
    rig.happens_now()
    rig.proxy.reset()
    yield
    rig.proxy.behave(Manner.PASS)
    rig.proxy.reset()


def plain_for_tls(rig: Rig) -> Iterator[None]:
    rig.admin.execute_command("CONFIG", "SET", "tls-port", "0", "port", str(rig.tls_port))
    rig.happens_now()
    rig.kill_clients()
    yield
    rig.set_tls(rig.certificates.good, rig.tls_port)


def tls_for_plain(rig: Rig) -> Iterator[None]:
    rig.certificates = Certificates(rig.folder / "tls")
    rig.set_tls(rig.certificates.good, 0)
    rig.admin.execute_command("CONFIG", "SET", "port", str(free_port()))
    rig.admin.execute_command("CONFIG", "SET", "tls-port", str(rig.redis.port))
    rig.happens_now()
    rig.kill_clients()
    yield
    rig.admin.execute_command("CONFIG", "SET", "tls-port", "0")
    rig.admin.execute_command("CONFIG", "SET", "port", str(rig.redis.port))


def certified_by(rig: Rig, certificate: Path) -> Iterator[None]:
    rig.set_tls(certificate, rig.tls_port)
    rig.happens_now()
    rig.kill_clients()
    yield
    rig.set_tls(rig.certificates.good, rig.tls_port)


FAULTS = (
    Fault(
        "wrongpass",
        "the server closes every connection and refuses the password",
        wrong_password,
        refusal("WRONGPASS", heal_s=HEALED_REFUSED_S),
        AS_USER,
        TWO_MINUTES_S,
    ),
    Fault(
        "wrongpass-short",
        "the same for some seconds",
        wrong_password,
        refusal("WRONGPASS"),
        AS_USER,
        settings=SHORTENED,
    ),
    Fault(
        "password-rotated",
        "the password is another; the connections of beats stay, those of callers end",
        password_rotated,
        Expect(redis_says("WRONGPASS"), None, heal_s=HEALED_SHORTENED_S, tellers=("status_api", "worker")),
        AS_USER,
        settings=SHORTENED,
    ),
    Fault(
        "noperm-connect",
        "the server closes every connection; the user may give no command any more",
        may_not_connect,
        refusal("NOPERM"),
        AS_USER,
        settings=SHORTENED,
    ),
    Fault(
        "noperm-command",
        "the user may not give one command (LLEN): its callers' affair, nobody else's",
        may_not_count,
        Expect(None, None, strict=frozenset({503})),
        AS_USER,
        settings=SHORTENED,
    ),
    Fault(
        "no-database",
        "the server is restarted with fewer databases than the URL's number",
        no_database,
        refusal("NO_DATABASE"),
        AS_USER,
        settings=SHORTENED,
    ),
    Fault(
        "noauth",
        "the server closes every connection and wants a password that it did not want before",
        password_appears,
        refusal("NOAUTH"),
        DIRECT,
        settings=SHORTENED,
    ),
    Fault(
        "http",
        "every connection is reset; what listens at the port now is a web server",
        speaks_http,
        refusal("NOT_REDIS"),
        PROXY,
        settings=SHORTENED,
    ),
    Fault(
        "tls-to-plain",
        "the port that spoke TLS speaks plainly",
        plain_for_tls,
        refusal("TLS"),
        TLS,
        settings=SHORTENED,
        needs=(certificates.missing,),
    ),
    Fault(
        "certificate-expired",
        "the server closes every connection and shows a certificate that has expired",
        lambda rig: certified_by(rig, rig.certificates.expired),
        refusal("TLS_CERTIFICATE"),
        TLS,
        settings=SHORTENED,
        needs=(certificates.missing,),
    ),
    Fault(
        "certificate-of-another",
        "the server closes every connection and shows the certificate of another name",
        lambda rig: certified_by(rig, rig.certificates.of_another),
        refusal("TLS_CERTIFICATE"),
        TLS,
        settings=SHORTENED,
        needs=(certificates.missing,),
    ),
    Fault(
        "plain-to-tls",
        "the port that spoke plainly speaks TLS",
        tls_for_plain,
        refusal("TLS"),
        DIRECT,
        settings=SHORTENED,
        needs=(certificates.missing,),
    ),
)
