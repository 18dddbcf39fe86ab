import fakeredis
import pytest
import redis

from shared.core.errors import RedisUnavailableError, SendRefusedError, SendUncertainError
from shared.messaging.sender import BATCH, DramatiqSender, send_error
from tests.support.runs import hint


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


def test_a_batch_whose_answers_did_not_come_is_in_doubt_as_a_whole():
    raised = send_error(redis.TimeoutError("no answer"), sent=100, tried=57)
    assert isinstance(raised, SendUncertainError)
    assert (raised.sent, raised.uncertain) == (100, 57)


class Answering:
    """A broker that answers each batch with what is next in line."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.batches = []

    def enqueue_all(self, messages):
        self.batches.append([message.kwargs["run_id"] for message in messages])
        return self.answers.pop(0) + [None] * (len(messages) - 1)


def sent_through(broker, count):
    sender = DramatiqSender(FakeLink(), namespace="test")  # type: ignore[arg-type] # its client is all that is used
    sender._broker = broker
    sender.send([hint(number) for number in range(1, count + 1)])


class FakeLink:
    client = fakeredis.FakeRedis()


def test_hints_go_in_batches_in_their_order():
    broker = Answering([None], [None])
    sent_through(broker, BATCH + 2)
    assert broker.batches == [list(range(1, BATCH + 1)), [BATCH + 1, BATCH + 2]]


def test_what_redis_took_before_it_refused_counts_as_sent_and_no_further_batch_goes():
    broker = Answering([None, None, redis.exceptions.OutOfMemoryError("OOM")], [None])
    with pytest.raises(SendRefusedError) as refused:
        sent_through(broker, 2 * BATCH)
    assert (refused.value.sent, refused.value.summary) == (2, "OOM")
    assert len(broker.batches) == 1
