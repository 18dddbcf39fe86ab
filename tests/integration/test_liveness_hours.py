"""Hours in which Redis, the database and the provider hang, by a clock that is moved: nobody is ever called stuck.

The threads are the real ones, and so is what they wait for; only the clocks they tell their signs of life by jump.
"""

import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from scheduler.service import Scheduler
from shared.bootstrap.container import build
from shared.core.errors import DatabaseUnavailableError
from shared.messaging.broker import build_broker
from shared.messaging.message import QUEUE
from shared.redis_link import RedisLink, set_default_link
from shared.redis_link.config import LinkConfig
from shared.settings import Settings
from tests.support.links import Port, keeps_silent
from tests.support.logs import captured
from tests.support.runs import claim
from tests.support.waiting import wait_for
from workers.direct import DirectMode
from workers.facts import ChildFacts, Intake, Phase
from workers.health import STALE_S, CrewFacts, Sighting, stuck_reasons
from workers.hints import HintsWatch
from workers.holdings import Holdings, Renewals

pytestmark = pytest.mark.integration

HOURS = 6
JUMPS = 3


class MovedClock:
    """The monotonic clock, so many hours on."""

    def __init__(self, monkeypatch):
        self.ahead_s = 0.0
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + self.ahead_s)

    def __call__(self):
        return time.monotonic()

    def jump(self):
        self.ahead_s += HOURS * 3600 / JUMPS


@pytest.fixture
def clock(monkeypatch):
    return MovedClock(monkeypatch)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_a_scheduler_is_alive_through_hours_of_outage(tmp_path, clock, stack):
    redis, database = stack.enter_context(Port(keeps_silent)), stack.enter_context(Port(keeps_silent))
    (tmp_path / "accounts.toml").write_text("")
    given: dict[str, Any] = {
        "redis_url": redis.url,
        "database_url": f"postgresql://nobody:nothing@127.0.0.1:{database.port}/nothing",
        "accounts_file": tmp_path / "accounts.toml",
        "cost_deadline": "10:00",
        "alert_webhook_url": f"http://127.0.0.1:{database.port}/",
    }
    container = build("scheduler", Settings(**given))
    stack.enter_context(captured())
    scheduler = Scheduler(container)
    for _, pulse in scheduler._pulses():
        pulse._clock = clock
    stack.callback(set_default_link, None)
    stack.callback(container.stop)
    stack.callback(scheduler.stop)
    container.start()
    scheduler.start()
    wait_for(lambda: redis.accepted >= 2 and database.accepted >= 2, 20, "both to be asked")
    for _ in range(JUMPS):
        clock.jump()
        # What beats at all does so within seconds; what the outage has stopped would not do so at all.
        wait_for(lambda: container.health.live().ok, STALE_S, f"a sign of life of each: {container.health.live()}")
    assert container.health.ready().body["status"] == "unhealthy"


def hangs(*_):
    raise DatabaseUnavailableError(summary="away")


def test_a_worker_is_alive_through_hours_of_outage_with_a_run_in_hand(clock, stack):
    stack.enter_context(captured())
    redis = stack.enter_context(Port(keeps_silent))
    link = RedisLink(LinkConfig(url=redis.url))
    stack.callback(link.close)
    broker = build_broker(link, namespace="test")
    holdings, ended = Holdings(), threading.Event()
    holdings.add(claim(1))
    renewals = Renewals(holdings, hangs, interval_s=1, max_s=10**9)
    hints = HintsWatch(broker, health=link.health, is_foreign=hangs)
    direct = DirectMode(usable=hints.usable, take_next=hangs, work=hangs, has_room=lambda: True, after_s=1)
    consumer = broker.consume(QUEUE)
    broker.resume("marker")

    def consume():
        while not ended.is_set():
            next(consumer)

    consuming = threading.Thread(target=consume, name="consumer", daemon=True)
    parts: list[Any] = [renewals, hints, direct]
    pulses = {part.thread.name: part.pulse for part in parts} | {"consumer": broker.pulses[QUEUE]}
    for pulse in pulses.values():
        pulse._clock = clock
    link.start()
    consuming.start()
    for part in parts:
        part.start()
        stack.callback(part.stop)
    stack.callback(consuming.join, 20)
    stack.callback(ended.set)
    stack.callback(broker.close)

    def reasons():
        beats = {name: pulse.age_s() for name, pulse in pulses.items()}
        beats["redis supervisor"] = 0.0 if link.supervisor_alive(STALE_S) else None
        facts = ChildFacts(1, 0, Phase.WORKING, Intake.DIRECT, beats, threads=1, expected_threads=1, runs=1)
        return stuck_reasons(CrewFacts([Sighting(facts, 0.0)], expected=1, since_start_s=clock()))

    wait_for(lambda: redis.accepted >= 2, 20, "Redis to be asked")
    for _ in range(JUMPS):
        clock.jump()
        wait_for(lambda: not reasons(), STALE_S, f"a sign of life of each: {reasons()}")
    assert not link.is_available()
    assert all(thread.is_alive() for thread in (consuming, *(part.thread for part in parts)))
