import pytest
import redis

from shared.core.errors import RedisUnavailableError, SendRefusedError, SendUncertainError
from shared.messaging.sender import send_error


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (RedisUnavailableError(summary="away", code="ECONNREFUSED"), SendRefusedError),
        (RedisUnavailableError(summary="lost on the way", code="CLOSED", sent=True), SendUncertainError),
        (redis.ResponseError("MISCONF"), SendRefusedError),
        (redis.exceptions.ReadOnlyError("READONLY"), SendRefusedError),
        (redis.exceptions.OutOfMemoryError("OOM"), SendRefusedError),
        (redis.exceptions.MaxConnectionsError("too many"), SendRefusedError),
        (redis.TimeoutError("no answer"), SendUncertainError),
        (redis.ConnectionError("reset"), SendUncertainError),
    ],
)
def test_a_definite_refusal_is_told_apart_from_a_doubt(error, meaning):
    raised = send_error(error, sent=3)
    assert type(raised) is meaning
    assert raised.sent == 3
    assert raised.summary
