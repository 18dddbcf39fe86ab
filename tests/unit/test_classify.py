import errno
import socket
import ssl

import pytest
import redis
from redis._parsers.base import BaseParser

from shared.core.classify import DETAIL_MAX, Failure, code_of, failure_of
from shared.core.codes import CODES, Code, ErrorClass, Wake
from shared.core.errors import RedisUnavailableError


def wrapped(cause: Exception, text: str = "Error connecting") -> redis.ConnectionError:
    """What redis-py makes of an error of the socket layer."""
    try:
        try:
            raise cause  # noqa: TRY301
        except Exception:  # noqa: BLE001
            raise redis.ConnectionError(text)  # noqa: B904 - as redis-py does
    except redis.ConnectionError as error:
        return error


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("LOADING Redis is loading the dataset in memory", Code.LOADING),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", Code.MASTERDOWN),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL", Code.BUSY),
        ("CLUSTERDOWN Hash slot not served", Code.CLUSTERDOWN),
        ("READONLY You can't write against a read only replica.", Code.READONLY),
        ("WRONGPASS invalid username-password pair or user is disabled.", Code.WRONGPASS),
        ("NOAUTH Authentication required.", Code.NOAUTH),
        ("NOPERM this user has no permissions to run the 'set' command", Code.NOPERM),
        ("DENIED Redis is running in protected mode because", Code.PROTECTED_MODE),
        ("MOVED 3999 127.0.0.1:6381", Code.CLUSTER),
        ("OOM command not allowed when used memory > 'maxmemory'.", Code.OOM),
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable", Code.MISCONF),
        ("NOREPLICAS Not enough good replicas to write.", Code.NOREPLICAS),
        ("NOPROTO unsupported protocol version", Code.NOT_REDIS),
        ("ERR max number of clients reached", Code.MAXCLIENTS),
        ("ERR DB index is out of range", Code.NO_DATABASE),
        ("ERR invalid DB index", Code.NO_DATABASE),
        ("ERR SELECT is not allowed in cluster mode", Code.CLUSTER),
        ("ERR AUTH <password> called without any password configured for the default user.", Code.NO_PASSWORD_SET),
        ("ERR Client sent AUTH, but no password is set", Code.NO_PASSWORD_SET),
        ("ERR invalid password", Code.WRONGPASS),
        ("ERR unknown command 'HELLO', with args beginning with: ", Code.NOT_REDIS),
        ("ERR unknown command `HELLO`, with args beginning with: ", Code.NOT_REDIS),
        ("ERR something new", Code.SERVER_ERROR),
        ("WRONGTYPE Operation against a key", Code.SERVER_ERROR),
        ("an odd reply in small letters", Code.SERVER_ERROR),
    ],
)
def test_a_reply_is_classified_as_redis_py_hands_it_over(reply, code):
    assert code_of(BaseParser.parse_error(reply)) is code


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Code.CONNECTION_REFUSED),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Code.CONNECTION_CLOSED),
        (BrokenPipeError(errno.EPIPE, "pipe"), Code.CONNECTION_CLOSED),
        (OSError(errno.EHOSTUNREACH, "no route"), Code.UNREACHABLE),
        (OSError(errno.ENETUNREACH, "no network"), Code.UNREACHABLE),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), Code.UNKNOWN_HOST),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), Code.NAME_TIMEOUT),
        (FileNotFoundError(errno.ENOENT, "no socket"), Code.SOCKET_MISSING),
        (PermissionError(errno.EACCES, "denied"), Code.SOCKET_DENIED),
        (OSError(errno.EMFILE, "too many"), Code.NO_FILE_HANDLES),
        (ssl.SSLCertVerificationError(1, "self-signed"), Code.TLS_CERTIFICATE),
        (ssl.SSLEOFError(8, "eof"), Code.CONNECTION_CLOSED),
        (ssl.SSLZeroReturnError(6, "closed"), Code.CONNECTION_CLOSED),
        (ssl.SSLError(1, "wrong version number"), Code.TLS),
        (OSError("no number at all"), Code.IO_ERROR),
        (ValueError("I/O operation on closed file"), Code.IO_ERROR),
    ],
)
def test_an_error_of_the_socket_is_found_below_what_wraps_it(cause, code):
    assert code_of(wrapped(cause)) is code
    assert code_of(cause) is code


def test_silence_is_a_hanging_server_once_it_has_accepted_and_an_absent_one_before():
    assert code_of(TimeoutError("timed out")) is Code.TIMEOUT
    assert code_of(redis.TimeoutError("Timeout reading from socket")) is Code.TIMEOUT
    assert code_of(TimeoutError("timed out"), accepted=False) is Code.CONNECT_TIMEOUT


def test_the_end_of_the_stream_is_a_closed_connection():
    assert code_of(redis.ConnectionError("Connection closed by server.")) is Code.CONNECTION_CLOSED


def test_our_own_pool_being_full_is_told_from_a_server_that_is_away():
    assert code_of(redis.exceptions.MaxConnectionsError("Too many connections")) is Code.POOL_EXHAUSTED


def test_something_that_is_no_redis_is_told():
    assert code_of(redis.InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'")) is Code.NOT_REDIS


def test_our_own_error_keeps_its_code():
    assert code_of(RedisUnavailableError(summary="x", code="LOADING")) is Code.LOADING
    assert code_of(RedisUnavailableError(summary="x", code="none of ours")) is Code.IO_ERROR


def test_an_error_that_is_its_own_cause_does_not_hang():
    error = redis.ConnectionError("round")
    other = ValueError("and round")
    error.__cause__, other.__cause__ = other, error
    assert code_of(error) is Code.IO_ERROR


@pytest.mark.parametrize(("depth", "code"), [(7, Code.CONNECTION_REFUSED), (8, Code.IO_ERROR)])
def test_causes_are_followed_to_the_eighth_error_and_no_further(depth, code):
    error: Exception = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    for _ in range(depth):
        outer = ValueError("around it")
        outer.__cause__ = error
        error = outer
    assert code_of(error) is code


def test_a_failure_has_the_code_of_its_error_and_names_its_kind():
    silent = TimeoutError("timed \n out")
    assert failure_of(silent) == Failure(Code.TIMEOUT, "TimeoutError: timed out")
    assert failure_of(silent, accepted=False).code is Code.CONNECT_TIMEOUT


def test_the_detail_is_one_redacted_line_of_bounded_length():
    failure = failure_of(redis.ConnectionError("to redis://:hunter2@host:1/0\nfailed " + "x" * 1000))
    assert "hunter2" not in failure.detail
    assert "\n" not in failure.detail
    assert len(failure.detail) == DETAIL_MAX


def test_a_failure_speaks_for_its_code():
    failure = failure_of(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
    facts = CODES[Code.CONNECTION_REFUSED]
    assert (failure.error_class, failure.wake) == (ErrorClass.OUTAGE, Wake.CONNECT)
    assert (failure.summary, failure.hint) == (facts.summary, facts.hint)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_summary_of_one_line_and_a_hint_that_says_what_to_do(code):
    facts = CODES[code]
    assert facts.summary
    assert "\n" not in facts.summary + facts.hint
    assert not facts.summary.endswith(".")
    assert facts.hint.endswith(".")


def test_only_a_refusal_or_something_of_our_own_leaves_nothing_to_look_for():
    still = {ErrorClass.REFUSED, ErrorClass.LOCAL, ErrorClass.CAPACITY}
    assert all(facts.error_class in still for facts in CODES.values() if facts.wake is Wake.NONE)
    assert all(facts.wake is Wake.NONE for facts in CODES.values() if facts.error_class is ErrorClass.REFUSED)
