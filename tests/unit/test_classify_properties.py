"""Whatever goes wrong on the way to Redis, it is given one of the documented codes."""

import errno
import itertools
import socket
import ssl
from collections.abc import Callable

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from redis._parsers.base import BaseParser

from shared.core.classify import DETAIL_MAX, REPLIES, code_of, failure_of
from shared.core.codes import CODES, Code, ErrorClass
from shared.core.errors import RedisUnavailableError
from shared.redis_link.gate import TELLING

TEXTS = st.text(max_size=200)
NUMBERS = st.sampled_from(sorted(errno.errorcode)) | st.integers(-1, 10_000)


def redis_errors() -> list[type[redis.RedisError]]:
    """Every class of redis-py's errors that is made of a text alone."""
    found, todo = [], [redis.RedisError]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        try:
            kind("text")
        except (TypeError, IndexError, ValueError):
            continue
        found.append(kind)
    return found


def at_the_socket(make: Callable[[int, str], Exception]) -> st.SearchStrategy[Exception]:
    return st.builds(make, NUMBERS, TEXTS)


def of_reply(text):
    """What redis-py makes of an error reply, or raises because it cannot read it."""
    try:
        return BaseParser.parse_error(text)
    except ValueError as error:
        return error


ERRORS = st.one_of(
    st.builds(lambda kind, text: kind(text), st.sampled_from(redis_errors()), TEXTS),
    st.builds(of_reply, TEXTS),
    *(
        at_the_socket(kind)
        for kind in (
            OSError,
            socket.gaierror,
            socket.herror,
            ssl.SSLError,
            ssl.SSLEOFError,
            ssl.SSLCertVerificationError,
        )
    ),
    st.builds(
        lambda kind, text: kind(text),
        st.sampled_from([TimeoutError, ValueError, EOFError, RuntimeError, MemoryError, RecursionError, KeyError]),
        TEXTS,
    ),
    st.builds(
        lambda code, text: RedisUnavailableError(summary=text, code=code), st.sampled_from(list(Code)) | TEXTS, TEXTS
    ),
)


@settings(deadline=None)
@given(chain=st.lists(st.tuples(ERRORS, st.booleans()), min_size=1, max_size=12), accepted=st.booleans())
def test_any_error_with_any_text_below_any_other_has_a_code_that_is_documented(chain, accepted):
    for (outer, _), (inner, on_purpose) in itertools.pairwise(chain):
        if on_purpose:
            outer.__cause__ = inner
        else:
            outer.__context__ = inner
    code = code_of(chain[0][0], accepted=accepted)
    assert code in CODES
    # Only our own error may say of the link itself that it is not started.
    assert CODES[code].error_class is not ErrorClass.LOCAL or isinstance(chain[0][0], RedisUnavailableError)


@settings(deadline=None)
@given(error=ERRORS)
def test_the_detail_of_any_error_is_one_line_of_bounded_length(error):
    detail = failure_of(error).detail
    assert len(detail) <= DETAIL_MAX
    assert detail == " ".join(detail.split())


@settings(deadline=None)
@given(error=ERRORS, accepted=st.booleans())
def test_the_same_error_has_the_same_code_each_time(error, accepted):
    assert code_of(error, accepted=accepted) is code_of(error, accepted=accepted)


@settings(deadline=None)
@given(text=TEXTS)
def test_any_error_reply_has_a_code_of_a_server_that_answers(text):
    assert code_of(of_reply(text)) not in {Code.TIMEOUT, Code.CONNECT_TIMEOUT, Code.CONNECTION_REFUSED}


@pytest.mark.parametrize("word", sorted(REPLIES))
@settings(deadline=None)
@given(said=st.text(st.characters(codec="ascii", categories=["N", "P", "Zs"]), max_size=100))
def test_the_word_a_reply_begins_with_decides_whatever_follows(word, said):
    # redis-py reads more than the word of these two: a slot and an address.
    where = "1 127.0.0.1:6379" if word in {"MOVED", "ASK"} else said
    assert code_of(BaseParser.parse_error(f"{word} {where}")) is REPLIES[word]


def test_what_callers_may_meet_in_passing_is_no_refusal():
    assert all(CODES[code].error_class is not ErrorClass.REFUSED for code in TELLING)
