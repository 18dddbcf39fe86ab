"""Parts of a worker process around Dramatiq: actors, the watch over the marker, reporter, status board, lifeline."""

import os
import threading
import time

import pytest

from shared.core.errors import DatabaseUnavailableError, RedisUnavailableError
from shared.core.health import ErrorFacts, RedisDetails, RedisHealth
from tests.support.runs import hint
from tests.support.waiting import wait_for
from tests.unit.test_worker_health import FACTS, OTHER
from workers.actors import collect_run
from workers.board import Board, BoardClient
from workers.facts import Phase
from workers.folder import PREFIX, YOUNG_S, own_folder
from workers.hints import HintsWatch
from workers.lifeline import Lifeline
from workers.reporter import Reporter

CONNECTED = RedisHealth("connected", is_open=True)
FULL = ErrorFacts("OOM", "full", "make room", None)  # type: ignore[arg-type] # when it was first seen is not asked for


def test_an_actor_hands_the_hint_on():
    seen: list[object] = []
    ready = hint(7, 2)
    collect_run(seen.append, ledger_id=str(ready.ledger_id), run_id=7, attempt=2)
    assert seen == [ready]


def test_an_actor_drops_what_is_no_hint():
    seen: list[object] = []
    collect_run(seen.append, run_id="x")
    assert seen == []


class PausableBroker:
    """The part of a broker that the watch over the marker works on."""

    def __init__(self, *, available=True):
        self.link = self
        self.available = available
        self.pauses = set()

    def is_available(self):
        return self.available

    def pause(self, reason):
        self.pauses.add(reason)

    def resume(self, reason):
        self.pauses.discard(reason)


class Marker:
    """Answers what a test sets: True, False, or an error."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = 0

    def __call__(self):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def watch_of():
    watches = []

    def make(marker, health=CONNECTED, broker=None):
        broker = broker or PausableBroker()
        watch = HintsWatch(broker, health=lambda: health, is_foreign=marker)
        watches.append(watch)
        watch.start()
        return watch, broker

    yield make
    for watch in watches:
        watch.stop()
        watch.thread.join(20)
        assert not watch.thread.is_alive()


def test_hints_are_taken_once_the_marker_is_known_to_be_ours(watch_of):
    broker = PausableBroker(available=False)
    watch, _ = watch_of(Marker(False), broker=broker)
    assert broker.pauses
    broker.available = True
    watch.changed()
    wait_for(lambda: not broker.pauses, what="the broker to take hints")
    assert watch.usable()


@pytest.mark.parametrize(
    "trouble", [RedisUnavailableError(summary="away", code="X"), DatabaseUnavailableError(summary="away")]
)
def test_a_marker_that_cannot_be_read_is_asked_for_again(watch_of, trouble):
    marker = Marker(trouble)
    _, broker = watch_of(marker)
    wait_for(lambda: marker.asked >= 2, what="a second question")
    assert broker.pauses
    marker.answer = False
    wait_for(lambda: not broker.pauses, what="the broker to take hints")


def test_another_installations_marker_stops_the_intake_until_it_is_gone(watch_of):
    marker = Marker(True)
    watch, broker = watch_of(marker)
    wait_for(lambda: not watch.usable(), what="the marker to be read")
    assert broker.pauses
    marker.answer = False
    watch.changed()
    wait_for(watch.usable, what="the marker to be read again")
    assert not broker.pauses


@pytest.mark.parametrize(
    ("health", "usable"),
    [
        (CONNECTED, True),
        (RedisHealth("connecting", is_open=False), False),
        (RedisHealth("failed", is_open=False), False),
        (RedisHealth("connected", is_open=True, details=RedisDetails(degraded=FULL)), False),
    ],
)
def test_hints_need_a_redis_that_is_connected_and_takes_writes(health, usable):
    watch = HintsWatch(PausableBroker(), health=lambda: health, is_foreign=lambda: False)  # type: ignore[arg-type] # its part
    assert watch.usable() is usable
    watch.stop()


@pytest.fixture
def board(tmp_path):
    board = Board(tmp_path / "board")
    board.start()
    yield board
    board.close()
    board.close()
    assert not (tmp_path / "board").exists()


def test_the_board_keeps_the_newest_facts_of_each_process(board):
    client = BoardClient(board.path)
    board.expect(FACTS.master_pid)
    for facts in (FACTS, OTHER, FACTS):
        client.send(facts)
    wait_for(lambda: len(board.sightings()) == 2, what="two processes")
    assert {sighting.facts.pid: sighting.facts for sighting in board.sightings()} == {11: FACTS, 12: OTHER}
    assert not board.wait_all_in({Phase.STOPPED}, 0.01)
    assert board.wait_all_in({Phase.WORKING}, 0.01)
    client.close()


def test_the_board_forgets_processes_of_a_former_time(board):
    client = BoardClient(board.path)
    board.expect(FACTS.master_pid)
    client.send(FACTS)
    wait_for(board.sightings, what="the first facts")
    board.expect(99)
    client.send(FACTS)
    client._socket.sendto(b"no facts", str(board.path))
    assert board.sightings() == []
    client.close()


def test_sending_to_a_launcher_that_is_gone_or_does_not_read_never_blocks(tmp_path):
    client = BoardClient(tmp_path / "nobody")
    client.send(FACTS)
    assert client.missed == 1
    client.close()
    unread = Board(tmp_path / "unread")
    unread._socket.bind(str(unread.path))
    client = BoardClient(unread.path)
    for _ in range(10_000):
        client.send(FACTS)
        if client.missed:
            break
    assert client.missed == 1
    client.close()
    unread.close()


def test_facts_are_pushed_when_they_change_and_at_the_end(board, monkeypatch):
    monkeypatch.setattr("workers.reporter.INTERVAL_S", 60)
    board.expect(FACTS.master_pid)
    client = BoardClient(board.path)
    gist, now = [1], [FACTS]
    reporter = Reporter(client, lambda: now[0], lambda: gist[0])
    reporter.start()
    wait_for(board.sightings, what="the first facts")
    now[0] = OTHER
    gist[0] = 2
    wait_for(lambda: len(board.sightings()) == 2, 20, "the changed facts, long before they are due again")
    reporter.stop()
    reporter.stop()
    client.close()


def test_the_lifeline_is_cut_when_the_launchers_end_closes():
    read, write = os.pipe()
    cut = threading.Event()
    Lifeline(read, cut.set).start()
    assert not cut.is_set()
    os.close(write)
    assert cut.wait(20)
    os.close(read)


def test_folders_of_killed_launchers_are_removed_and_nobody_elses(tmp_path):
    old = YOUNG_S + 60
    with own_folder(tmp_path) as held:
        abandoned, young, other = (tmp_path / name for name in (f"{PREFIX}a", f"{PREFIX}young", "another"))
        for folder in (abandoned, young, other):
            folder.mkdir()
        for folder in (held, abandoned, other):
            os.utime(folder, (time.time() - old, time.time() - old))
        with own_folder(tmp_path):
            assert not abandoned.exists()
            assert all(folder.exists() for folder in (held, young, other))
    assert not held.exists()
