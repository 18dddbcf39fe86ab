"""The broker, its consumers and the sender against a real Redis that is killed, frozen, wiped and refuses."""

import threading
import time
from contextlib import ExitStack
from functools import partial

import dramatiq
import pytest
from dramatiq import Worker
from dramatiq.middleware import TimeLimit

from shared.core.errors import SendRefusedError, SendUncertainError
from shared.core.runs import RunReady
from shared.messaging.broker import build_broker
from shared.messaging.depths import QueueDepth, queue_depths
from shared.messaging.message import ACTOR, QUEUE, encode, queue_namespace
from shared.messaging.sender import BATCH, DramatiqSender
from shared.redis_link import RedisLink
from shared.redis_link.config import LinkConfig
from tests.support.redis_server import RedisServer
from tests.support.runs import hint
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

NAMESPACE = "test"
KEYS = f"{queue_namespace(NAMESPACE)}:{QUEUE}"


class Rig:
    """A Redis, a link, a broker and a Dramatiq worker that notes each run id it is given."""

    def __init__(self, stack: ExitStack) -> None:
        self.server = stack.enter_context(RedisServer())
        self.link = RedisLink(LinkConfig(url=self.server.url, namespace=NAMESPACE, first_delay_s=0.2, max_delay_s=1))
        stack.callback(self.link.close)
        self.broker = build_broker(self.link, namespace=NAMESPACE, middleware=[TimeLimit()])
        self.sender = DramatiqSender(self.link, namespace=NAMESPACE)
        self.done: list[int] = []
        self.may_finish = threading.Event()
        self.may_finish.set()
        self.begun: list[int] = []
        dramatiq.actor(broker=self.broker, actor_name=ACTOR, queue_name=QUEUE)(self._work)
        self.worker = Worker(self.broker, worker_threads=2, worker_timeout=100)
        stack.callback(self._stop)

    def start(self) -> "Rig":
        self.link.start()
        assert self.link.wait_connected(20)
        self.worker.start()
        return self

    def send(self, *run_ids: int) -> None:
        self.sender.send([hint(run_id) for run_id in run_ids])

    def wait_done(self, *run_ids: int, timeout_s: float = 20.0) -> None:
        wait_for(lambda: set(run_ids) <= set(self.done), timeout_s, f"runs {run_ids}")

    def wait_away(self) -> None:
        wait_for(lambda: not self.link.is_available(), what="the link to notice")

    def threads(self) -> list[threading.Thread]:
        return [*self.worker.consumers.values(), *self.worker.workers]

    def size(self) -> int:
        """Messages that Redis keeps, taken ones included."""
        with self.server.admin() as admin:
            return int(admin.hlen(f"{KEYS}.msgs"))

    def _work(self, *, ledger_id: str, run_id: int, attempt: int) -> None:
        self.begun.append(run_id)
        assert self.may_finish.wait(30)
        self.done.append(run_id)

    def _stop(self) -> None:
        self.may_finish.set()
        self.broker.close()
        self.worker.stop(2000)


@pytest.fixture
def rig():
    with ExitStack() as stack:
        yield Rig(stack).start()


def test_what_is_sent_is_executed_once_and_leaves_nothing_behind(rig):
    rig.send(1, 2, 3)
    rig.wait_done(1, 2, 3)
    wait_for(lambda: rig.size() == 0, what="every message to be acknowledged")
    assert sorted(rig.done) == [1, 2, 3]


def test_an_idle_worker_looks_again_after_a_quarter_of_a_second_at_most(rig, monkeypatch):
    waits_s = []
    rest = rig.broker.rest

    def note(wait_s):
        waits_s.append(wait_s)
        rest(wait_s)

    monkeypatch.setattr(rig.broker, "rest", note)
    wait_for(lambda: len(waits_s) >= 20, 30, "as many looks as make the waits between them grow")
    assert 0.05 < max(waits_s) <= 0.25
    rig.send(1)
    rig.wait_done(1)


def test_one_consumer_serves_the_queue_and_none_a_delay_queue(rig):
    assert set(rig.worker.consumers) == {QUEUE}
    with pytest.raises(ValueError, match="not_before"):
        rig.broker.enqueue(encode(hint(1)), delay=1000)


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_consumers_survive_an_outage_and_are_back_with_the_link(rig, how, caplog, monkeypatch):
    # What a consumer would wait that restarts, that waits for the link without being woken, or that counts failures.
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 60)
    monkeypatch.setattr("shared.messaging.consumer.LINK_WAIT_S", 60)
    monkeypatch.setattr("shared.messaging.consumer.RETRY_S", 60)
    rig.send(1)
    rig.wait_done(1)
    before = rig.threads()
    end, begin = (rig.server.kill, rig.server.start) if how == "killed" else (rig.server.freeze, rig.server.thaw)
    for run_id in (2, 3, 4):
        end()
        rig.wait_away()
        begin()
        assert rig.link.wait_connected(20)
        rig.send(run_id)
        rig.wait_done(run_id)
    assert rig.threads() == before
    assert all(thread.is_alive() for thread in before)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("dramatiq")] == []


def test_a_job_that_ends_in_an_outage_frees_its_thread_and_is_acknowledged_later(rig):
    rig.may_finish.clear()
    rig.send(1, 2)
    wait_for(lambda: len(rig.begun) == 2, what="both threads to be busy")
    rig.server.freeze()
    rig.wait_away()
    rig.may_finish.set()
    rig.wait_done(1, 2)
    rig.server.thaw()
    assert rig.link.wait_connected(20)
    wait_for(lambda: rig.size() == 0, what="the owed acknowledgements")
    rig.send(3)
    rig.wait_done(3)


def test_a_wiped_redis_is_simply_gone_on_with(rig):
    rig.may_finish.clear()
    rig.send(1, 2, 3, 4, 5, 6, 7)
    wait_for(lambda: len(rig.begun) == 2, what="both threads to be busy")
    rig.server.wipe()
    rig.may_finish.set()
    rig.send(8)
    rig.wait_done(8)
    assert all(thread.is_alive() for thread in rig.threads())


@pytest.mark.parametrize(
    ("refuse", "relent"),
    [
        ({"maxmemory": "1"}, {"maxmemory": "0"}),
        ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"}),
    ],
    ids=["out-of-memory", "no-replicas"],
)
def test_a_redis_that_refuses_writes_is_asked_until_it_relents(rig, refuse, relent):
    with rig.server.admin() as admin:
        admin.config_set(*next(iter(refuse.items())))
        with pytest.raises((SendRefusedError, SendUncertainError)):
            rig.send(1)
        admin.config_set(*next(iter(relent.items())))
    assert rig.link.wait_connected(20)
    wait_for(lambda: _sent(rig, 2), what="a send that goes through")
    rig.wait_done(2)
    assert all(thread.is_alive() for thread in rig.threads())


def _sent(rig, run_id):
    try:
        rig.send(run_id)
    except SendRefusedError:
        return False
    return True


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_sending_is_refused_at_once_while_redis_is_away(rig, how):
    (rig.server.kill if how == "killed" else rig.server.freeze)()
    rig.wait_away()
    started = time.monotonic()
    for _ in range(50):
        with pytest.raises(SendRefusedError) as refused:
            rig.send(1, 2)
        assert refused.value.sent == 0
    assert time.monotonic() - started < 20, "a connection each would have waited for 50 times 2 s"


def test_more_than_a_batch_arrives_in_its_order(rig):
    rig.worker.pause()
    ids = list(range(1, 2 * BATCH + 51))
    rig.send(*ids)
    with rig.server.admin() as admin:
        queued = [admin.hget(f"{KEYS}.msgs", message_id) for message_id in admin.lrange(KEYS, 0, -1)]
    assert [dramatiq.Message.decode(data).kwargs["run_id"] for data in queued] == ids


def test_a_batch_is_in_doubt_as_a_whole_when_redis_hangs_under_it(rig):
    # A consumer would take the connection that is open now and then: on a new one nothing would have been sent.
    rig.worker.pause()
    rig.send(1)
    rig.server.freeze()
    with pytest.raises(SendUncertainError) as doubt:
        rig.send(*range(2, BATCH + 52))
    assert (doubt.value.sent, doubt.value.uncertain) == (0, BATCH)


def test_garbage_in_the_queue_ends_no_thread(rig):
    rig.worker.pause()
    with rig.server.admin() as admin:
        for number, data in enumerate([b"{", b"[]", encode(hint(1)).copy(queue_name="other").encode()]):
            admin.hset(f"{KEYS}.msgs", f"garbage-{number}", data)
            admin.rpush(KEYS, f"garbage-{number}")
        admin.rpush(KEYS, "without-a-message")
    rig.worker.resume()
    rig.send(9)
    rig.wait_done(9)
    assert rig.done == [9]
    assert all(thread.is_alive() for thread in rig.threads())


def test_a_message_for_no_actor_is_set_aside_and_counted(rig):
    message = encode(hint(1))
    rig.broker.enqueue(message.copy(actor_name="unknown"))
    wait_for(lambda: queue_depths(rig.link, namespace=NAMESPACE) == [QueueDepth(QUEUE, 0, 0, 1)], what="a dead message")


def test_a_paused_broker_takes_nothing_and_gives_back_what_it_had(rig):
    rig.may_finish.clear()
    rig.send(*range(1, 8))
    wait_for(lambda: len(rig.begun) == 2, what="both threads to be busy")
    rig.broker.pause("one")
    rig.broker.pause("another")
    rig.send(8)
    wait_for(lambda: queue_depths(rig.link, namespace=NAMESPACE)[0].depth >= 1, what="the queue to fill")
    assert rig.broker.pulses[QUEUE].age_s() < 10
    rig.may_finish.set()
    rig.broker.resume("one")
    assert rig.broker.paused
    rig.broker.resume("another")
    rig.wait_done(*range(1, 9))


def test_a_consumer_shows_its_pulse_while_redis_is_away(rig):
    rig.server.kill()
    rig.wait_away()
    for _ in range(3):
        wait_for(partial(has_beaten, rig, time.monotonic()), what="another beat")


def has_beaten(rig, since_s):
    return time.monotonic() - rig.broker.pulses[QUEUE].age_s() > since_s


def test_hints_reach_the_worker_as_they_were_sent(rig):
    seen = []

    def note(**facts):
        seen.append(facts)

    rig.broker.actors[ACTOR].fn = note
    ready = RunReady(hint().ledger_id, 5, 3)
    rig.sender.send([ready])
    wait_for(lambda: seen, what="the hint")
    assert seen == [{"ledger_id": str(ready.ledger_id), "run_id": 5, "attempt": 3}]
