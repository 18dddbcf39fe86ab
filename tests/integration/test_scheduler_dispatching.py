"""Dispatch through a real Redis that loses its memory, belongs to others, refuses, or goes away."""

import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest

from shared.bootstrap.dispatching import Dispatch, adopt, marker_key
from shared.core.days import DayRange
from shared.core.runs import RunState
from shared.ledger.database import Database
from shared.ledger.dispatch import dispatch_due
from shared.ledger.meta import ledger_id, remembered_redis_run_id
from shared.ledger.queries import get_run, run_counts
from shared.messaging.sender import DramatiqSender
from shared.redis_link import RedisLink
from tests.support.ledger import JANUARY, WINDOW, FakeSender, requested, with_accounts
from tests.support.links import connected
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

QUEUE = "holdfast:queues:collect"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def link(server) -> Iterator[RedisLink]:
    with connected(server.url, startup_attempts=1000, first_delay_s=0.1, max_delay_s=0.2) as link:
        yield link


@pytest.fixture
def db(sqlite_database):
    with_accounts(sqlite_database, "a", "b")
    return sqlite_database


def dispatching(db: Database, link: RedisLink, namespace: str = "holdfast") -> Dispatch:
    found = Dispatch(db, link, DramatiqSender(link, namespace=namespace), namespace, WINDOW)
    link.on_change(found.changed)
    return found


def hints(server: RedisServer) -> int:
    with server.admin() as admin:
        return int(admin.llen(QUEUE))


def marker(server: RedisServer) -> str | None:
    with server.admin() as admin:
        found = admin.get(marker_key("holdfast"))
    return found.decode() if isinstance(found, bytes) else None


def test_what_is_due_is_sent_and_the_redis_marked_as_ours(db, link, server):
    run = requested(db, "a", JANUARY)

    dispatched = dispatching(db, link).tick()

    assert dispatched.sent == (run.id,)
    assert get_run(db, run.id).state is RunState.QUEUED
    assert hints(server) == 1
    assert marker(server) == str(ledger_id(db))
    assert remembered_redis_run_id(db) == link.health().details.server_run_id


def test_a_second_round_sends_nothing_twice(db, link, server):
    requested(db, "a", JANUARY)
    dispatch = dispatching(db, link)

    dispatch.tick()
    dispatch.tick()

    assert hints(server) == 1


def test_after_a_flush_all_queued_runs_are_sent_again(db, link, server):
    requested(db, "a", JANUARY)
    requested(db, "b", JANUARY)
    dispatch = dispatching(db, link)
    dispatch.tick()

    server.wipe()
    dispatch.tick()

    assert hints(server) == 2
    assert marker(server) == str(ledger_id(db))
    dispatch.tick()
    assert hints(server) == 2


def test_after_a_restart_all_queued_runs_are_sent_again_once(db, link, server):
    requested(db, "a", JANUARY)
    dispatch = dispatching(db, link)
    dispatch.tick()
    before = link.health().details.server_run_id

    server.kill()
    wait_for(lambda: not link.is_available(), 20, "the loss to be noticed")
    server.start()
    wait_for(dispatch._again.is_set, 20, "the loss to be told")
    wait_for(lambda: link.is_available() and link.health().details.server_run_id != before, 20, "a new connection")
    dispatch.tick()

    assert hints(server) == 1
    assert remembered_redis_run_id(db) == link.health().details.server_run_id != before


def test_a_process_that_starts_after_a_restart_finds_it_by_the_remembered_run_id(db, server):
    requested(db, "a", JANUARY)
    with connected(server.url) as link:
        dispatching(db, link).tick()
    own = str(ledger_id(db))
    server.kill()
    server.start()
    with server.admin() as admin:
        # As a Redis that saved its keys but not our queue: the marker alone would not tell.
        admin.set(marker_key("holdfast"), own)

    with connected(server.url) as link:
        wait_for(lambda: link.health().details.server_run_id, 20, "the server's run id")
        dispatching(db, link).tick()

    assert hints(server) == 1


def test_through_another_installation_s_redis_nothing_is_sent(db, link, server):
    run = requested(db, "a", JANUARY)
    with server.admin() as admin:
        admin.set(marker_key("holdfast"), str(uuid4()))
    dispatch = dispatching(db, link)

    for _ in range(3):
        assert dispatch.tick().sent == ()

    assert dispatch.foreign is not None
    assert dispatch.due(only=[run.id]).sent == ()
    assert hints(server) == 0
    assert get_run(db, run.id).state is RunState.PENDING


def test_an_adopted_redis_is_used_at_the_next_round_and_gets_everything(db, link, server):
    requested(db, "a", JANUARY)
    dispatch_due(db, FakeSender(), window=WINDOW)
    other = str(uuid4())
    with server.admin() as admin:
        admin.set(marker_key("holdfast"), other)
    dispatch = dispatching(db, link)
    dispatch.tick()

    with server.admin() as admin:
        assert adopt(admin, namespace="holdfast", ledger=ledger_id(db)) == other
    dispatch.tick()

    assert dispatch.foreign is None
    assert hints(server) == 1


def test_two_installations_with_namespaces_of_their_own_share_a_redis(db, link, server):
    requested(db, "a", JANUARY)
    with server.admin() as admin:
        admin.set(marker_key("others"), str(uuid4()))

    assert len(dispatching(db, link).tick().sent) == 1


def test_without_redis_nothing_is_sent_or_lost(db, link, server):
    run = requested(db, "a", JANUARY)
    dispatch = dispatching(db, link)
    server.kill()
    wait_for(lambda: not link.is_available(), 20, "the loss to be noticed")

    assert dispatch.tick().problem == "Redis is not connected"
    assert dispatch.due(only=[run.id], deadline_s=0.5).problem == "Redis is not connected"
    assert get_run(db, run.id).state is RunState.PENDING


def test_while_redis_refuses_writes_runs_stay_pending_and_go_out_when_it_takes_them(db, link, server):
    requested(db, "a", JANUARY)
    dispatch = dispatching(db, link)
    with server.admin() as admin:
        admin.config_set("maxmemory", "1")
        wait_for(lambda: link.health().details.degraded, 20, "the refusal to be noticed")

        assert dispatch.tick().problem == "Redis refuses writes"
        assert run_counts(db)[RunState.PENDING] == 1

        admin.config_set("maxmemory", "0")
    wait_for(lambda: link.health().details.degraded is None, 20, "the refusal to pass")
    assert len(dispatch.tick().sent) == 1


def test_only_the_runs_that_are_asked_for_are_sent(db, link, server):
    wanted, other = requested(db, "a", JANUARY), requested(db, "b", JANUARY)

    dispatched = dispatching(db, link).due(only=[wanted.id], deadline_s=5)

    assert dispatched.sent == (wanted.id,)
    assert get_run(db, other.id).state is RunState.PENDING


def test_a_sender_that_hangs_holds_nobody_longer_than_the_deadline(db, link):
    release = threading.Event()
    sender = FakeSender()
    sender.on_send = release.wait
    run = requested(db, "a", JANUARY)
    dispatch = Dispatch(db, link, sender, "holdfast", WINDOW)

    assert dispatch.due(only=[run.id], deadline_s=0.1).problem == "Redis or the database did not answer in time"

    release.set()
    wait_for(lambda: sender.sent, 20, "the late send")


def test_hanging_calls_do_not_pile_up(db, link):
    release = threading.Event()
    sender = FakeSender()
    sender.on_send = release.wait
    dispatch = Dispatch(db, link, sender, "holdfast", WINDOW)
    problems = []
    for day in list(JANUARY)[:6]:
        run = requested(db, "a", DayRange(day, day))
        problems.append(dispatch.due(only=[run.id], deadline_s=0.1).problem)

    assert problems[-1] == "Too many calls are waiting for Redis or the database"
    release.set()
    wait_for(lambda: dispatch._calls._value == 4, 20, "all calls to end")
