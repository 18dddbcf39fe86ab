"""The metrics page: names as Prometheus wants them, and several processes on one page."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.observability import metrics
from tests.support.need import skip_or_fail

pytestmark = pytest.mark.integration

CHILD = """
from shared.observability import metrics
metrics.identify("worker")
metrics.record_redis_state("connected")
metrics.RUN_OUTCOMES.labels(provider="focus", outcome="succeeded").inc()
metrics.DATABASE_UP.set({database})
import os
print(os.getpid())
"""


def touch_everything() -> None:
    metrics.identify("scheduler")
    metrics.record_redis_state("connecting")
    metrics.record_request(method="BREW", route="/health/live", status=405, took_s=0.002)
    metrics.REDIS_ATTEMPTS.labels(outcome="failed").inc()
    metrics.REDIS_TRANSITIONS.labels(previous="connecting", current="connected", reason="CONNECTED").inc()
    metrics.RUNS.labels(state="pending").set(3)
    metrics.RUN_OUTCOMES.labels(provider="focus", outcome="succeeded").inc()
    metrics.RUN_DURATION.labels(provider="focus").observe(1)
    metrics.ROWS_STORED.labels(provider="focus").inc(5)
    metrics.CLAIMS.labels(outcome="claimed", mode="queue").inc()
    metrics.PLANNED.labels(kind="catchup").inc()
    metrics.DISPATCHED.labels(outcome="sent").inc()
    metrics.COST_CACHE.labels(outcome="hit").inc()
    metrics.UNEXPECTED_ERRORS.labels(where="test").inc()


def test_the_page_passes_the_linter_of_prometheus():
    promtool = shutil.which("promtool")
    if promtool is None:
        skip_or_fail("promtool")
    touch_everything()
    found = subprocess.run([promtool, "check", "metrics"], input=metrics.render(), capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


def test_one_state_is_shown_and_unknown_methods_share_a_label():
    touch_everything()
    page = metrics.render().decode()
    assert 'holdfast_redis_state{state="connecting"} 1.0' in page
    assert 'holdfast_redis_state{state="connected"} 0.0' in page
    assert 'method="other",route="/health/live",status="405"' in page
    assert "BREW" not in page


def child(folder: Path, database: int) -> int:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", CHILD.format(database=database)]
    return int(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)


@pytest.fixture
def folder(tmp_path):
    pids = [child(tmp_path, database) for database in (1, 0)]
    return tmp_path, pids


def test_children_are_joined_with_the_process_that_serves_them(folder):
    page = metrics.render(folder[0]).decode()
    assert 'holdfast_run_attempts_total{outcome="succeeded",provider="focus"} 2.0' in page
    assert 'holdfast_redis_state{state="connected"} 2.0' in page
    assert "holdfast_database_up 0.0" in page
    assert "process_resident_memory_bytes" in page
    assert page.count("# TYPE holdfast_redis_state gauge") == 1


def test_of_a_child_that_has_ended_the_counters_stay(folder):
    for pid in folder[1]:
        metrics.forget_child(pid, folder[0])
    page = metrics.render(folder[0]).decode()
    assert 'holdfast_run_attempts_total{outcome="succeeded",provider="focus"} 2.0' in page
    assert 'holdfast_redis_state{state="connected"} 2.0' not in page
