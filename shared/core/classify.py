"""What an exception says about Redis: one of the codes of `shared.core.codes`."""

import errno
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import redis

from shared.core.codes import CODES, Code, ErrorClass, Wake
from shared.core.errors import RedisUnavailableError
from shared.core.redact import redact_text

DETAIL_MAX: Final = 300
# An exception's causes are followed this far; a cycle of contexts would have no end.
CHAIN_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt, a beat or a command failed. `detail` is the error's own text, redacted, for the log alone."""

    code: Code
    detail: str = ""

    @property
    def error_class(self) -> ErrorClass:
        """Who or what must change."""
        return CODES[self.code].error_class

    @property
    def wake(self) -> Wake:
        """How to learn early that the cause has gone."""
        return CODES[self.code].wake

    @property
    def summary(self) -> str:
        """One line in plain words."""
        return CODES[self.code].summary

    @property
    def hint(self) -> str:
        """What to do."""
        return CODES[self.code].hint


# The word an error reply begins with.
REPLIES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "LOADING": Code.LOADING,
        "MASTERDOWN": Code.MASTERDOWN,
        "BUSY": Code.BUSY,
        "CLUSTERDOWN": Code.CLUSTERDOWN,
        "READONLY": Code.READONLY,
        "WRONGPASS": Code.WRONGPASS,
        "NOAUTH": Code.NOAUTH,
        "NOPERM": Code.NOPERM,
        "DENIED": Code.PROTECTED_MODE,
        "NOPROTO": Code.NOT_REDIS,
        "MOVED": Code.CLUSTER,
        "ASK": Code.CLUSTER,
        "OOM": Code.OOM,
        "MISCONF": Code.MISCONF,
        "NOREPLICAS": Code.NOREPLICAS,
    }
)
# Replies that share the word ERR, told apart by what they say.
TEXTS: Final = (
    ("max number of clients", Code.MAXCLIENTS),
    ("without any password", Code.NO_PASSWORD_SET),
    ("no password is set", Code.NO_PASSWORD_SET),
    ("invalid password", Code.WRONGPASS),
    ("db index is out of range", Code.NO_DATABASE),
    ("invalid db index", Code.NO_DATABASE),
    ("select is not allowed in cluster mode", Code.CLUSTER),
    ("unknown command 'hello'", Code.NOT_REDIS),
    ("unknown command `hello`", Code.NOT_REDIS),
    ("invalid resp version", Code.NOT_REDIS),
    ("error setting client name", Code.NOT_REDIS),
    ("closed by server", Code.CONNECTION_CLOSED),
)
ERRNOS: Final[Mapping[int, Code]] = MappingProxyType(
    {
        errno.ECONNREFUSED: Code.CONNECTION_REFUSED,
        errno.ECONNRESET: Code.CONNECTION_CLOSED,
        errno.ECONNABORTED: Code.CONNECTION_CLOSED,
        errno.EPIPE: Code.CONNECTION_CLOSED,
        errno.EHOSTUNREACH: Code.UNREACHABLE,
        errno.ENETUNREACH: Code.UNREACHABLE,
        errno.EHOSTDOWN: Code.UNREACHABLE,
        errno.ENETDOWN: Code.UNREACHABLE,
        errno.ETIMEDOUT: Code.CONNECT_TIMEOUT,
        errno.ENOENT: Code.SOCKET_MISSING,
        errno.EACCES: Code.SOCKET_DENIED,
        errno.EPERM: Code.SOCKET_DENIED,
        errno.EMFILE: Code.NO_FILE_HANDLES,
        errno.ENFILE: Code.NO_FILE_HANDLES,
    }
)
FIRST_WORD: Final = re.compile(r"^[A-Z]{2,}\b")


def failure_of(error: BaseException, *, accepted: bool = True) -> Failure:
    """Classify `error`. `accepted` tells whether the server had accepted the connection when it came."""
    return Failure(code_of(error, accepted=accepted), redact_text(_text(error))[:DETAIL_MAX])


def code_of(error: BaseException, *, accepted: bool = True) -> Code:
    """The code of `error`, from the server's reply where there is one, else from the socket's error."""
    if isinstance(error, RedisUnavailableError):
        return Code.__members__.get(error.code, Code.IO_ERROR)
    if isinstance(error, redis.exceptions.MaxConnectionsError):
        return Code.POOL_EXHAUSTED
    if isinstance(error, redis.InvalidResponse):
        return Code.NOT_REDIS
    return _reply_code(error) or _socket_code(error, accepted=accepted)


def _reply_code(error: BaseException) -> Code | None:
    if not isinstance(error, redis.RedisError):
        return None
    text = str(error)
    for said, code in TEXTS:
        if said in text.lower():
            return code
    word = error.status_code or ""
    if not word and (found := FIRST_WORD.match(text)):
        word = found[0]
    if word in REPLIES:
        return REPLIES[word]
    return Code.SERVER_ERROR if word or isinstance(error, redis.ResponseError) else None


def _socket_code(error: BaseException, *, accepted: bool) -> Code:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_code(cause)
        if isinstance(cause, socket.gaierror):
            return Code.NAME_TIMEOUT if cause.errno == socket.EAI_AGAIN else Code.UNKNOWN_HOST
        if isinstance(cause, OSError) and (found := ERRNOS.get(cause.errno or 0)):
            return found
        if isinstance(cause, TimeoutError | redis.TimeoutError):
            return Code.TIMEOUT if accepted else Code.CONNECT_TIMEOUT
    return Code.IO_ERROR


def _tls_code(error: ssl.SSLError) -> Code:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Code.TLS_CERTIFICATE
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Code.CONNECTION_CLOSED
    return Code.TLS


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what caused it, the innermost first: redis-py wraps what the socket said."""
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and len(found) < CHAIN_MAX:
        found.append(following)
        following = following.__cause__ or following.__context__
    return reversed(found)


def _text(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
