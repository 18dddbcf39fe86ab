"""The worker's processes as an operator sees them: started, signalled, killed, frozen."""

import os
import signal
import socket
import sys
import time

import psutil
import pytest

from shared.core.costs import CoverageState
from shared.core.runs import RunState
from shared.ledger.queries import coverage
from tests.support.limits import cannot_limit, without_descriptors
from tests.support.links import Port, keeps_silent
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import pass_time, wait_for
from tests.support.worker import WorkerRig

pytestmark = pytest.mark.integration

SLOW = "tests.support.slow_worker"
NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture
def rig_of(tmp_path):
    rigs = []

    def make(redis_url, **environment):
        rigs.append(WorkerRig(tmp_path, redis_url, **environment))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
        # Shown when the test has failed.
        sys.stderr.write("\n".join(rig.lines()[-40:]) + "\n")


def test_it_serves_at_once_while_redis_keeps_silent(rig_of):
    with Port(keeps_silent) as silent:
        rig = rig_of(silent.url, REDIS_CONNECT_TIMEOUT_S="120").start()
        rig.wait_live()
        wait_for(lambda: silent.accepted, what="Redis to be asked")
        rig.signal(signal.SIGTERM)
        assert rig.wait_exit() == 0
        rig.wait_gone()


def test_it_serves_and_ends_in_order_without_redis_and_without_a_database(rig_of):
    rig = rig_of(NOBODY)
    rig.database_url = f"postgresql://nobody:planted-password@127.0.0.1:{free_port()}/nothing"
    rig.start().wait_live()
    wait_for(lambda: "threads" in str(rig.ready()) or "Waiting" in str(rig.ready()), 20, "the worker processes")
    assert rig.ready()["status"] == "unhealthy"
    assert rig.ready()["checks"]["database"]["status"] == "down"
    assert rig.wait_live() is not None
    rig.signal(signal.SIGTERM)
    assert rig.wait_exit() == 0
    rig.wait_gone()
    assert "planted-password" not in rig.log.read_text()


def test_runs_are_collected_through_an_outage(rig_of, redis):
    rig = rig_of(redis.url).start()
    first = rig.request("one")
    rig.dispatch()
    rig.wait_state(RunState.SUCCEEDED, *first)
    rig.wait_ready("healthy")
    for end, begin in ((redis.kill, redis.start), (redis.freeze, redis.thaw)):
        end()
        wait_for(lambda: rig.ready()["checks"]["redis"]["status"] != "up", what="the outage to be noticed")
        assert rig.wait_live() is not None
        begin()
        rig.wait_ready("healthy")
        again = rig.request("two")
        rig.dispatch()
        rig.wait_state(RunState.SUCCEEDED, *again)
    (account,) = coverage(rig.db, days=rig.days, account="two")
    assert [day.state for day in account.days] == [CoverageState.COMPLETE] * len(rig.days)
    rig.signal(signal.SIGTERM)
    assert rig.wait_exit() == 0
    assert [line for line in rig.lines() if "Traceback" in line or " ERROR " in line] == []


def test_work_in_flight_may_end_within_the_grace(rig_of, redis):
    rig = rig_of(redis.url, SHUTDOWN_GRACE_S="60").start(SLOW)
    runs = rig.request("one")
    rig.dispatch()
    rig.wait_begun()
    rig.signal(signal.SIGTERM)
    wait_for(lambda: rig.ready().get("draining"), 20, "readiness to say that it drains")
    answer = rig.probe("/health/ready")
    assert answer is not None
    assert answer.status == 503
    assert rig.wait_live() is not None
    rig.release()
    assert rig.wait_exit() == 0
    rig.wait_gone()
    assert rig.state(runs[0]) is RunState.SUCCEEDED


@pytest.mark.parametrize("redis_is", ["up", "frozen", "away"])
def test_what_is_left_after_the_grace_is_handed_back(rig_of, redis, redis_is):
    rig = rig_of(redis.url).start(SLOW)
    runs = rig.request("one", "two", "three")
    rig.dispatch()
    begun = wait_for(lambda: [run for run in runs if rig.state(run) is RunState.RUNNING], what="a run to be claimed")
    {"up": lambda: None, "frozen": redis.freeze, "away": redis.kill}[redis_is]()
    began = time.monotonic()
    rig.signal(signal.SIGTERM)
    # Several senders of the same request within a second, as a process manager and a terminal are.
    rig.signal(signal.SIGINT)
    assert rig.wait_exit() == 0
    took = time.monotonic() - began
    # The grace is two seconds; what is beyond it is a busy machine's.
    assert 1.5 < took < 6.0, took
    rig.wait_gone()
    assert {rig.state(run) for run in runs} <= {RunState.PENDING, RunState.QUEUED}
    assert {rig.state(run) for run in begun} == {RunState.PENDING}


def test_a_later_second_signal_stops_at_once(rig_of, redis):
    rig = rig_of(redis.url, SHUTDOWN_GRACE_S="60").start(SLOW)
    rig.request("one")
    rig.dispatch()
    rig.wait_begun()
    rig.signal(signal.SIGTERM)
    wait_for(lambda: rig.ready().get("draining"), 20, "the first signal to be taken in")
    pass_time(1.2)
    rig.signal(signal.SIGTERM)
    rig.wait_exit()
    rig.wait_gone()


def test_nobody_outlives_a_killed_launcher(rig_of, redis):
    rig = rig_of(redis.url, SHUTDOWN_GRACE_S="60").start(SLOW)
    runs = rig.request("one")
    rig.dispatch()
    rig.wait_begun()
    rig.signal(signal.SIGKILL)
    rig.wait_gone()
    assert rig.state(runs[0]) is RunState.PENDING


def test_a_frozen_child_does_not_outlive_a_killed_launcher_either(rig_of, redis):
    rig = rig_of(redis.url).start()
    rig.wait_ready("healthy")
    rig.children()[0].suspend()
    rig.signal(signal.SIGKILL)
    rig.wait_gone()


def test_a_worker_process_that_only_starts_ends_in_order_when_its_launcher_is_killed(rig_of, redis):
    rig = rig_of(redis.url).start("tests.support.late_worker")
    rig.wait_begun()
    rig.signal(signal.SIGKILL)
    rig.wait_gone()
    assert rig.lines()
    assert all(" INFO    [worker] " in line for line in rig.lines()), "what nobody has to know"


def test_a_frozen_worker_process_makes_the_worker_stuck_until_it_moves_again(rig_of, redis):
    rig = rig_of(redis.url).start()
    rig.wait_ready("healthy")
    (child,) = rig.children()
    child.suspend()
    began = time.monotonic()
    body = rig.wait_live(503, timeout_s=40)
    assert time.monotonic() - began > 10
    assert body == {"status": "stuck", "reasons": [body["reasons"][0]]}
    assert body["reasons"][0].startswith(f"worker process {child.pid}: silent for ")
    child.resume()
    rig.wait_live(200)
    rig.wait_ready("healthy")


@pytest.mark.parametrize("victim", ["child", "master"])
def test_killed_worker_processes_are_started_again(rig_of, redis, victim):
    rig = rig_of(redis.url, WORKER_PROCESSES="2").start()
    rig.wait_consumers("4 threads in 2 processes")
    before = {found.pid for found in rig.family()}
    os.kill(rig.children()[0].pid if victim == "child" else rig.master().pid, signal.SIGKILL)
    assert rig.wait_live(503)["reasons"] in (["1 of 2 worker processes missing"], ["2 of 2 worker processes missing"])
    rig.wait_live(200)
    rig.wait_consumers("4 threads in 2 processes")
    wait_for(lambda: not before & {found.pid for found in rig.family()}, what="the old processes to be gone")
    runs = rig.request("one")
    rig.dispatch()
    rig.wait_state(RunState.SUCCEEDED, *runs)
    assert any("ended unexpectedly" in line for line in rig.lines())
    assert all(" [worker] " in line for line in rig.lines()), "lines in a form of somebody else's"


def test_a_worker_process_that_dies_while_it_starts_is_noticed_before_long(rig_of, redis):
    rig = rig_of(redis.url, WORKER_PROCESSES="2").start("tests.support.dying_worker")
    wait_for(lambda: any("ended unexpectedly" in line for line in rig.lines()), 20, "the death to be noticed")
    rig.wait_consumers("4 threads in 2 processes")


@pytest.mark.skipif(cannot_limit() is not None, reason=str(cannot_limit()))
def test_worker_processes_that_cannot_be_started_are_started_when_they_can(rig_of, redis):
    rig = rig_of(redis.url).start()
    rig.wait_ready()
    with without_descriptors([psutil.Process(rig.process.pid)]):
        os.kill(rig.master().pid, signal.SIGKILL)
        wait_for(
            lambda: any("cannot be started on this machine" in line for line in rig.lines()),
            20,
            "the launcher to say so",
        )
    rig.wait_ready(timeout_s=40)
    rig.wait_live()
    assert sum("cannot be started on this machine" in line for line in rig.lines()) == 1
    assert not any("Traceback" in line for line in rig.lines())
    rig.signal(signal.SIGTERM)
    assert rig.wait_exit() == 0


def test_direct_mode_collects_without_redis_and_ends_when_it_comes(rig_of, redis):
    redis.kill()
    rig = rig_of(redis.url, DIRECT_AFTER_S="1").start()
    runs = rig.request()
    rig.wait_state(RunState.SUCCEEDED, *runs)
    rig.wait_consumers("without Redis")
    redis.start()
    rig.wait_consumers("2 threads in 1 process")
    again = rig.request("one")
    assert rig.state(again[0]) is RunState.PENDING
    rig.dispatch()
    rig.wait_state(RunState.SUCCEEDED, *again)


def test_direct_mode_can_be_switched_off(rig_of):
    rig = rig_of(NOBODY, DIRECT_AFTER_S="0").start()
    runs = rig.request("one")
    rig.wait_consumers("Waiting for Redis")
    pass_time(3)
    assert rig.state(runs[0]) is RunState.PENDING


def test_hints_are_not_taken_from_a_redis_of_another_installation(rig_of, redis):
    with redis.admin() as admin:
        admin.set("holdfast:ledger", "11111111-1111-4111-8111-111111111111")
    rig = rig_of(redis.url, DIRECT_AFTER_S="1").start()
    rig.wait_consumers("without Redis")
    runs = rig.request("one")
    rig.wait_state(RunState.SUCCEEDED, *runs)
    assert sum("another installation" in line for line in rig.lines()) == 1


def test_metrics_are_those_of_all_worker_processes(rig_of, redis):
    rig = rig_of(redis.url, WORKER_PROCESSES="2").start()
    rig.wait_consumers("4 threads in 2 processes")
    rig.wait_ready("healthy")
    runs = rig.request()
    rig.dispatch()
    rig.wait_state(RunState.SUCCEEDED, *runs)

    def page():
        answer = rig.probe("/metrics")
        return answer.body.decode() if answer else ""

    wait_for(lambda: 'holdfast_redis_state{state="connected"} 2.0' in page(), 20, "both to be counted as connected")
    wait_for(lambda: 'outcome="succeeded",provider="focus"} 3.0' in page(), 20, "three runs")
    assert f'holdfast_rows_stored_total{{provider="focus"}} {3 * 3 * len(rig.days)}.0' in page()


@pytest.mark.parametrize(
    ("environment", "named"),
    [({"WORKER_THREADS": "none"}, "WORKER_THREADS"), ({"ACCOUNTS_FILE": "missing.toml"}, "missing.toml")],
)
def test_a_mistake_in_the_configuration_is_one_line_and_exit_code_2(rig_of, environment, named):
    rig = rig_of(NOBODY, **environment).start()
    assert rig.wait_exit() == 2
    (line,) = rig.lines()
    assert named in line


def test_a_taken_probe_port_is_told_once_and_does_not_stop_the_worker(rig_of, redis):
    rig = rig_of(redis.url)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", rig.port))
        taken.listen()
        rig.start()
        runs = rig.request("one")
        rig.dispatch()
        rig.wait_state(RunState.SUCCEEDED, *runs)
    rig.wait_live(200)
    assert sum("cannot be used" in line for line in rig.lines()) == 1
