"""Liveness tells the truth: each thread and child that a process cannot do without is missed when it is gone."""

import time
from contextlib import ExitStack, closing

import psutil
import pytest

from shared.core.runs import RunState
from tests.support.links import Port, keeps_silent
from tests.support.redis_server import RedisServer
from tests.support.sabotage import order
from tests.support.system import running_system
from tests.support.waiting import wait_for
from tests.support.worker import WorkerRig

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

FOUND_S = 20.0
SABOTAGE = "tests.support.sabotage"
LINK_REASON = "The thread that keeps the connection to Redis has stopped"
# By scheduler: what is done to its threads, and what /health/live must say then.
SCHEDULERS = {
    "scheduler-ended": {
        "end APScheduler": "The scheduler's clock thread has stopped",
        "end planning": "The scheduler's planning thread has stopped",
        "end dispatch": "The scheduler's dispatch thread has stopped",
        "end leases": "The scheduler's leases thread has stopped",
        "end housekeeping": "The scheduler's housekeeping thread has stopped",
        "end registration": "The scheduler's registration thread has stopped",
        "end deadline": "The scheduler's deadline thread has stopped",
        "end alerts": "The scheduler's alerts thread has stopped",
        "end redis-link": LINK_REASON,
    },
    "scheduler-stuck": {
        "stick APScheduler": "The scheduler's clock thread has stopped",
        "stick redis-link": LINK_REASON,
    },
}
# The same by worker process, all under one launcher.
WORKERS = (
    {
        "end ConsumerThread": "consumer of collect has ended",
        "end redis-link": "redis supervisor has ended",
        "end renewals": "renewals has ended",
        "end hints": "hints has ended",
        "end direct-mode": "direct-mode has ended",
        "end WorkerThread": "1 of 2 worker threads have ended",
    },
    {"stick ConsumerThread": "consumer of collect has not moved for", "stick redis-link": "redis supervisor has ended"},
    {"end reporter": "silent for"},
    {"stop": "silent for"},
)


class Missed:
    """What has to be found, and after how long it was."""

    def __init__(self):
        self.left = {}
        self.found_s = {}
        self._began_s = time.monotonic()

    def plant(self, owner, what, reason):
        self.left[owner, what] = reason

    def told(self, owner, said):
        for (planted_in, what), reason in list(self.left.items()):
            if planted_in == owner and said.startswith(reason):
                del self.left[planted_in, what]
                self.found_s[owner, what] = round(time.monotonic() - self._began_s, 1)

    def wait_all(self, look):
        def found():
            look()
            return not self.left

        try:
            wait_for(found, 3 * FOUND_S, "each to be found")
        except AssertionError as error:
            raise AssertionError(f"not found: {self.left}; found: {self.found_s}") from error
        assert max(self.found_s.values()) < FOUND_S, self.found_s


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


def test_a_scheduler_that_misses_a_thread_is_stuck_and_says_which(tmp_path, redis):
    (tmp_path / "accounts.toml").write_text("")
    environment = {"COST_DEADLINE": "10:00", "ALERT_WEBHOOK_URL": "http://127.0.0.1:1/"}
    modules = {"scheduler": f"{SABOTAGE} scheduler"}
    with running_system(tmp_path, redis_url=redis.url, environment=environment, modules=modules) as system:
        system.start("scheduler", *SCHEDULERS)
        system.wait_serving(60)
        system.wait_status("healthy", 60)
        missed = Missed()
        for name, planted in SCHEDULERS.items():
            order(tmp_path, system[name].process.pid, *planted)
            for what, reason in planted.items():
                missed.plant(name, what, reason)

        def look():
            assert system["scheduler"].probe("/health/live").status == 200
            for name in SCHEDULERS:
                answer = system[name].probe("/health/live")
                assert answer.status == (503 if "reasons" in answer.body else 200)
                for said in answer.body.get("reasons", ()):
                    missed.told(name, said)

        missed.wait_all(look)


def test_a_worker_that_misses_a_thread_or_a_process_is_stuck_and_says_which(tmp_path, redis):
    count = len(WORKERS) + 1
    with closing(WorkerRig(tmp_path, redis.url, WORKER_PROCESSES=str(count))) as rig:
        rig.start(SABOTAGE, "worker")
        rig.wait_consumers(f"{2 * count} threads in {count} processes", 90)
        fit, *children = [child.pid for child in rig.children()]
        missed = Missed()
        for pid, planted in zip(children, WORKERS, strict=True):
            if "stop" in planted:
                psutil.Process(pid).suspend()
            else:
                order(tmp_path, pid, *planted)
            for what, reason in planted.items():
                missed.plant(pid, what, reason)

        def look():
            answer = rig.probe("/health/live")
            assert answer is not None
            assert answer.status == (503 if "reasons" in answer.body else 200)
            for said in answer.body.get("reasons", ()):
                who, _, reason = said.removeprefix("worker process ").partition(": ")
                assert int(who) != fit, said
                missed.told(int(who), reason)

        missed.wait_all(look)


def test_an_api_whose_link_has_lost_its_thread_lives_on_and_says_that_redis_is_no_news(tmp_path, redis):
    (tmp_path / "accounts.toml").write_text("")
    modules = {"status_api": f"{SABOTAGE} status_api"}
    with running_system(tmp_path, redis_url=redis.url, modules=modules) as system:
        system.start("status_api").wait_serving()
        system.wait_status("healthy")
        order(tmp_path, system["status_api"].process.pid, "stick redis-link")

        def told():
            return system.ready("status_api")["checks"]["redis"]

        wait_for(lambda: told()["status"] != "up", FOUND_S, "readiness to tell")
        assert told()["status"] == "degraded"
        assert told()["message"].startswith("Stale: ")
        assert system["status_api"].redis()["lastError"]["code"] == "UNWATCHED"
        assert system["status_api"].probe("/health/live").status == 200
        assert system["status_api"].probe("/health/ready").status == 200


def test_nobody_is_stuck_while_redis_the_database_and_a_provider_hang(tmp_path, redis):
    """For longer than a thread may stand still; hours of it are `tests/integration/test_liveness_hours.py`."""
    (tmp_path / "accounts.toml").write_text("")
    (tmp_path / "fetching").mkdir()
    with ExitStack() as stack:
        silent, database = stack.enter_context(Port(keeps_silent)), stack.enter_context(Port(keeps_silent))
        url = f"postgresql://nobody:nothing@127.0.0.1:{database.port}/nothing"
        system = stack.enter_context(running_system(tmp_path, redis_url=silent.url, database_url=url))
        rig = stack.enter_context(closing(WorkerRig(tmp_path / "fetching", redis.url)))
        rig.start("tests.support.slow_worker")
        system.start().wait_serving(60)
        runs = rig.request("one")
        rig.dispatch()
        rig.wait_begun()
        wait_for(lambda: silent.accepted >= 3 and database.accepted >= 3, 30, "all to wait for both")
        until_s = time.monotonic() + FOUND_S

        def alive(probed):
            answer = probed.probe("/health/live")
            assert (answer.status, answer.body["status"]) == (200, "alive"), answer.body

        def all_alive():
            for probed in (*system.started.values(), rig):
                alive(probed)
            return time.monotonic() >= until_s

        wait_for(all_alive, 3 * FOUND_S, "the time")
        system.wait_each(lambda running: system.ready(running.name)["status"] == "unhealthy", 10, "be unhealthy")
        assert rig.state(runs[0]) is RunState.RUNNING
