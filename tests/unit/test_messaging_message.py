from uuid import UUID

import pytest
from dramatiq import Message

from shared.core.runs import RunReady
from shared.messaging.consumer import decoded
from shared.messaging.message import ACTOR, QUEUE, decode, encode, queue_namespace

LEDGER = UUID("00000000-0000-4000-8000-000000000001")
READY = RunReady(LEDGER, 7, 2)


def test_a_hint_survives_the_journey():
    message = Message.decode(encode(READY).encode())
    assert (message.queue_name, message.actor_name) == (QUEUE, ACTOR)
    assert decode(message.kwargs) == READY


def test_a_hint_carries_no_retries_and_no_arguments_but_its_three_facts():
    message = encode(READY)
    assert message.options == {}
    assert message.args == ()
    assert set(message.kwargs) == {"ledger_id", "run_id", "attempt"}


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"ledger_id": str(LEDGER), "run_id": 7},
        {"ledger_id": str(LEDGER), "run_id": 7, "attempt": 1, "more": 1},
        {"ledger_id": "not a uuid", "run_id": 7, "attempt": 1},
        {"ledger_id": str(LEDGER), "run_id": "7", "attempt": 1},
        {"ledger_id": str(LEDGER), "run_id": True, "attempt": 1},
        {"ledger_id": str(LEDGER), "run_id": 7, "attempt": 0},
        {"ledger_id": None, "run_id": 7, "attempt": 1},
    ],
)
def test_what_is_no_hint_is_refused(facts):
    with pytest.raises(ValueError):  # noqa: PT011 - which of its parts is wrong is for the text to say
        decode(facts)


def on_the_wire(**changes):
    message = encode(READY).copy(options={"redis_message_id": "r1"})
    return message.copy(**changes).encode()


def test_the_consumer_takes_what_the_sender_wrote():
    message = decoded(on_the_wire(), QUEUE)
    assert message is not None
    assert decode(message.kwargs) == READY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"queue_name": "collect"}',
        encode(READY).encode(),
        on_the_wire(queue_name="another"),
        on_the_wire(options={"eta": 1}),
        b'{"queue_name":"collect","actor_name":"x","args":[],"kwargs":{},"options":null}',
    ],
)
def test_the_consumer_drops_what_would_end_a_thread_of_dramatiq(data):
    assert decoded(data, QUEUE) is None


def test_queues_lie_under_the_applications_namespace():
    assert queue_namespace("holdfast") == "holdfast:queues"
