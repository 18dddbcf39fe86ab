"""Why Redis is not usable, as a code: its class, a summary in one line, what to do, and when to look again.

docs/connection.md shows this table; a test holds the two equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Final


class ErrorClass(StrEnum):
    """Who or what must change before Redis is usable."""

    OUTAGE = "outage"
    NOT_READY = "not_ready"
    MOVED = "moved"
    REFUSED = "refused"
    CAPACITY = "capacity"
    LOCAL = "local"


class Wake(StrEnum):
    """How a waiting link learns early that the cause has gone, between the scheduled attempts."""

    CONNECT = "connect"  # nothing accepts: one connect, and an attempt when it succeeds
    AWAIT = "await"  # accepted, but silent or not ready: await or repeat the question on the socket there is
    RETRY = "retry"  # accepted, then closed: a whole attempt now and then
    NONE = "none"  # only somebody's doing helps: the scheduled attempts alone


class Code(StrEnum):
    """The codes that logs, health answers, metrics and RedisUnavailableError carry."""

    CONNECTION_REFUSED = "CONNECTION_REFUSED"
    CONNECT_TIMEOUT = "CONNECT_TIMEOUT"
    UNREACHABLE = "UNREACHABLE"
    UNKNOWN_HOST = "UNKNOWN_HOST"
    NAME_TIMEOUT = "NAME_TIMEOUT"
    SOCKET_MISSING = "SOCKET_MISSING"
    TIMEOUT = "TIMEOUT"
    CONNECTION_CLOSED = "CONNECTION_CLOSED"
    NO_FILE_HANDLES = "NO_FILE_HANDLES"
    IO_ERROR = "IO_ERROR"
    LOADING = "LOADING"
    MASTERDOWN = "MASTERDOWN"
    BUSY = "BUSY"
    CLUSTERDOWN = "CLUSTERDOWN"
    SERVER_ERROR = "SERVER_ERROR"
    READONLY = "READONLY"
    WRONGPASS = "WRONGPASS"
    NOAUTH = "NOAUTH"
    NO_PASSWORD_SET = "NO_PASSWORD_SET"  # noqa: S105 - a code, not a password
    NOPERM = "NOPERM"
    NO_DATABASE = "NO_DATABASE"
    TLS = "TLS"
    TLS_CERTIFICATE = "TLS_CERTIFICATE"
    PROTECTED_MODE = "PROTECTED_MODE"
    SOCKET_DENIED = "SOCKET_DENIED"
    NOT_REDIS = "NOT_REDIS"
    CLUSTER = "CLUSTER"
    OOM = "OOM"
    MISCONF = "MISCONF"
    NOREPLICAS = "NOREPLICAS"
    POOL_EXHAUSTED = "POOL_EXHAUSTED"
    MAXCLIENTS = "MAXCLIENTS"
    NOT_STARTED = "NOT_STARTED"
    STARTING = "STARTING"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What a code means and what to do about it."""

    error_class: ErrorClass
    wake: Wake
    summary: str
    hint: str


_outage = partial(CodeFacts, ErrorClass.OUTAGE)
_not_ready = partial(CodeFacts, ErrorClass.NOT_READY, Wake.AWAIT)
_refused = partial(CodeFacts, ErrorClass.REFUSED, Wake.NONE)
_capacity = partial(CodeFacts, ErrorClass.CAPACITY, Wake.NONE)
_local = partial(CodeFacts, ErrorClass.LOCAL, Wake.NONE)

CODES: Final[Mapping[Code, CodeFacts]] = MappingProxyType(
    {
        Code.CONNECTION_REFUSED: _outage(
            Wake.CONNECT,
            "Nothing listens at the address of Redis",
            "Start Redis, or correct host and port in REDIS_URL.",
        ),
        Code.CONNECT_TIMEOUT: _outage(
            Wake.CONNECT,
            "Redis did not accept a connection in time",
            "Check that the host is up and that no firewall drops packets to its port.",
        ),
        Code.UNREACHABLE: _outage(
            Wake.CONNECT,
            "No route to the host of Redis",
            "Check the network between this host and Redis, and the address in REDIS_URL.",
        ),
        Code.UNKNOWN_HOST: _outage(
            Wake.CONNECT,
            "The host name in REDIS_URL does not resolve",
            "Correct the host in REDIS_URL, or the name service of this host.",
        ),
        Code.NAME_TIMEOUT: _outage(
            Wake.CONNECT,
            "The name service did not answer in time",
            "Check the name service of this host (resolv.conf), or use an address in REDIS_URL.",
        ),
        Code.SOCKET_MISSING: _outage(
            Wake.CONNECT,
            "The unix socket of Redis does not exist",
            "Start Redis with this unixsocket, or correct the path in REDIS_URL.",
        ),
        Code.TIMEOUT: _outage(
            Wake.AWAIT,
            "Redis accepted the connection but does not answer",
            "The server hangs: look at its CPU, disk and slow log, and restart it if it stays like this. "
            "With rediss:// make sure that the port speaks TLS.",
        ),
        Code.CONNECTION_CLOSED: _outage(
            Wake.RETRY,
            "Redis closed the connection",
            "If this lasts, look for a proxy without a server behind it, and at the server's log.",
        ),
        Code.NO_FILE_HANDLES: _outage(
            Wake.RETRY,
            "This process has no file handles left",
            "Raise its limit of open files (ulimit -n), and look for what holds them.",
        ),
        Code.IO_ERROR: _outage(
            Wake.RETRY,
            "The connection to Redis failed",
            "Look at the detail in this log line and at the network between this host and Redis.",
        ),
        Code.LOADING: _not_ready(
            "Redis is loading its data from disk",
            "Wait: it serves when it has read its data. A large file takes minutes.",
        ),
        Code.MASTERDOWN: _not_ready(
            "This Redis is a replica that has lost its master",
            "Point REDIS_URL at the master, or repair the replication.",
        ),
        Code.BUSY: _not_ready(
            "Redis is busy running a script",
            "Wait, or end the script with SCRIPT KILL.",
        ),
        Code.CLUSTERDOWN: _not_ready(
            "The Redis cluster is down",
            "Holdfast needs a Redis that is no cluster: point REDIS_URL at one.",
        ),
        Code.SERVER_ERROR: _not_ready(
            "Redis answers with an error",
            "Look at the detail in this log line; a proxy or a renamed command may be behind it.",
        ),
        Code.READONLY: CodeFacts(
            ErrorClass.MOVED,
            Wake.AWAIT,
            "This Redis is a replica and takes no writes",
            "After a failover this passes by itself; otherwise point REDIS_URL at the master.",
        ),
        Code.WRONGPASS: _refused(
            "Redis refuses the user name or password",
            "Correct user and password in REDIS_URL (special characters must be percent-encoded).",
        ),
        Code.NOAUTH: _refused(
            "Redis asks for a password",
            "Put the password into REDIS_URL, as in redis://:password@host:6379/0.",
        ),
        Code.NO_PASSWORD_SET: _refused(
            "A password was given, but Redis has none",
            "Remove the password from REDIS_URL, or set one on the server.",
        ),
        Code.NOPERM: _refused(
            "The Redis user lacks a permission",
            "Allow this user to connect, PING and SET keys under REDIS_NAMESPACE (ACL SETUSER on the server).",
        ),
        Code.NO_DATABASE: _refused(
            "The server has no database of that number",
            "Correct the number at the end of REDIS_URL, or raise `databases` on the server.",
        ),
        Code.TLS: _refused(
            "One side speaks TLS, the other does not",
            "Use rediss:// for a port that speaks TLS, and redis:// for one that does not.",
        ),
        Code.TLS_CERTIFICATE: _refused(
            "The TLS certificate of Redis is not trusted",
            "Name the authority with ?ssl_ca_certs=/path/ca.pem in REDIS_URL, or renew the certificate.",
        ),
        Code.PROTECTED_MODE: _refused(
            "Redis runs in protected mode and refuses other hosts",
            "Set a password on the server, or bind it to an address and switch protected-mode off.",
        ),
        Code.SOCKET_DENIED: _refused(
            "This user may not open the unix socket of Redis",
            "Give this process's user access to the socket (unixsocketperm, or its group).",
        ),
        Code.NOT_REDIS: _refused(
            "What answers there does not speak the protocol of Redis 6 or newer",
            "Correct host and port in REDIS_URL, or upgrade the server.",
        ),
        Code.CLUSTER: _refused(
            "This Redis is part of a cluster and redirects",
            "Holdfast needs a Redis that is no cluster: point REDIS_URL at one.",
        ),
        Code.OOM: _capacity(
            "Redis is out of memory and refuses writes",
            "Raise maxmemory on the server, or delete what is not needed.",
        ),
        Code.MISCONF: _capacity(
            "Redis cannot save to disk and refuses writes",
            "Free disk space on the server or repair its permissions; its log names the cause.",
        ),
        Code.NOREPLICAS: _capacity(
            "Redis has too few replicas and refuses writes",
            "Bring its replicas back, or lower min-replicas-to-write.",
        ),
        Code.POOL_EXHAUSTED: _capacity(
            "All pooled connections to Redis are in use",
            "Raise REDIS_MAX_CONNECTIONS, or look for what holds connections.",
        ),
        Code.MAXCLIENTS: CodeFacts(
            ErrorClass.CAPACITY,
            Wake.RETRY,
            "Redis has as many clients as it allows",
            "Raise maxclients on the server, or close clients that are not needed.",
        ),
        Code.NOT_STARTED: _local(
            "The link to Redis has not been started",
            "Call init_redis() first.",
        ),
        Code.STARTING: _local(
            "The first attempt to connect to Redis is under way",
            "Wait a moment.",
        ),
        Code.CLOSED: _local(
            "The link to Redis has been closed",
            "The process is stopping; call init_redis() to connect again.",
        ),
    }
)
