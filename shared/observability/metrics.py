"""Every metric there is. Seconds and bytes, `_total` counters, instants as timestamps, no error text in labels.

A process shows its own. Where a launcher serves for its children, they share a folder named by
PROMETHEUS_MULTIPROC_DIR, which must be set and emptied before a child starts; every gauge says how values of several
processes become one (`multiprocess_mode`).
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from shared.core.version import VERSION

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
# Fine below 20 ms, where health answers must lie; coarse up to the longest request that is allowed.
HTTP_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
RUN_BUCKETS_S: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)
REDIS_STATES: Final = ("disconnected", "connecting", "connected", "failed")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# A counter's birth as a series of its own doubles the page and serves nobody here.
disable_created_metrics()  # type: ignore[no-untyped-call] # untyped there
REGISTRY: Final = CollectorRegistry(auto_describe=True)

BUILD_INFO: Final = Gauge(
    "holdfast_build_info",
    "Release of the process, always 1.",
    ["version", "process"],
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
PROCESS_START: Final = Gauge(
    "holdfast_process_start_timestamp_seconds",
    "When the process started (the oldest, where several are served together).",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
DRAINING: Final = Gauge(
    "holdfast_draining",
    "1 while the process finishes its work and takes no more.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)

REDIS_STATE: Final = Gauge(
    "holdfast_redis_state",
    "1 for the state the connection is in (the number of processes in it, where several are served together).",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
REDIS_CHANGED_AT: Final = Gauge(
    "holdfast_redis_last_transition_timestamp_seconds",
    "When the connection last changed its state.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
REDIS_ATTEMPTS: Final = Counter(
    "holdfast_redis_connection_attempts",
    "Attempts to connect, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
REDIS_TRANSITIONS: Final = Counter(
    "holdfast_redis_transitions",
    "Changes of the connection's state, by the code of their cause.",
    ["previous", "current", "reason"],
    registry=REGISTRY,
)

DATABASE_UP: Final = Gauge(
    "holdfast_database_up",
    "1 while the database answers and its schema is the one this release knows.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
RUNS: Final = Gauge(
    "holdfast_runs",
    "Runs in the ledger by state, as last read; the same in every process.",
    ["state"],
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
RUN_OUTCOMES: Final = Counter(
    "holdfast_run_attempts",
    "Attempts of runs that ended here, by outcome (succeeded, retried, failed, handed_back, taken_back, lost).",
    ["provider", "outcome"],
    registry=REGISTRY,
)
RUN_DURATION: Final = Histogram(
    "holdfast_run_duration_seconds",
    "From claim to the end of an attempt.",
    ["provider"],
    registry=REGISTRY,
    buckets=RUN_BUCKETS_S,
)
ROWS_STORED: Final = Counter(
    "holdfast_rows_stored",
    "Cost rows written to the ledger.",
    ["provider"],
    registry=REGISTRY,
)
RESTATEMENTS: Final = Counter(
    "holdfast_restatements",
    "Account-days whose costs were different when they were collected again.",
    ["provider"],
    registry=REGISTRY,
)
CLAIMS: Final = Counter(
    "holdfast_run_claims",
    "Claims by outcome (claimed, stale) and mode (queue, direct).",
    ["outcome", "mode"],
    registry=REGISTRY,
)
PLANNED: Final = Counter(
    "holdfast_planned_runs",
    "Runs planned here, by kind.",
    ["kind"],
    registry=REGISTRY,
)
DISPATCHED: Final = Counter(
    "holdfast_dispatched_runs",
    "Messages handed to Redis, by outcome (sent, put_back, uncertain, resent).",
    ["outcome"],
    registry=REGISTRY,
)
FORGOTTEN_RUNS: Final = Counter(
    "holdfast_forgotten_runs",
    "Runs removed here after RUN_RETENTION_DAYS.",
    registry=REGISTRY,
)
DEAD_HINTS: Final = Counter(
    "holdfast_dead_hints",
    "Hints that no worker could read, removed from Redis here.",
    registry=REGISTRY,
)
ACCOUNTS_OVERDUE: Final = Gauge(
    "holdfast_accounts_overdue",
    "Accounts without a complete day that COST_DEADLINE has passed for, as last read; always 0 without a deadline.",
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
CREDENTIALS: Final = Gauge(
    "holdfast_credentials",
    "Accounts that are collected by whether a worker could sign in (up, degraded, down), as last read.",
    ["provider", "status"],
    registry=REGISTRY,
    multiprocess_mode="livemostrecent",
)
CREDENTIAL_CHECKS: Final = Counter(
    "holdfast_credential_checks",
    "Sign-ins tried here to check credentials, by what they found (up, degraded, down).",
    ["provider", "status"],
    registry=REGISTRY,
)
ALERTS: Final = Counter(
    "holdfast_alerts",
    "Alerts by what became of them here (raised, sent, not_sent for each try that failed, given_up).",
    ["outcome"],
    registry=REGISTRY,
)
ANOMALIES: Final = Counter(
    "holdfast_anomalies",
    "Anomalies found here, by kind (spike, drop, new, vanished), those of older days included.",
    ["kind"],
    registry=REGISTRY,
)
BUDGETS_REACHED: Final = Counter(
    "holdfast_budgets_reached",
    "Budgets found here to be used up to a threshold (80, 100 per cent), each once a month.",
    ["threshold"],
    registry=REGISTRY,
)

HTTP_REQUESTS: Final = Counter(
    "holdfast_http_requests",
    "Requests answered, by route template.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
HTTP_DURATION: Final = Histogram(
    "holdfast_http_request_duration_seconds",
    "From the whole request received to its answer made.",
    ["method", "route"],
    registry=REGISTRY,
    buckets=HTTP_BUCKETS_S,
)
HTTP_CLOSED: Final = Counter(
    "holdfast_http_connections_closed",
    "Connections closed for what their clients did not do, by reason (overdue, stalled, crowded).",
    ["reason"],
    registry=REGISTRY,
)
COST_CACHE: Final = Counter(
    "holdfast_cost_cache_requests",
    "Cost requests by what the cache did (hit, miss, bypass).",
    ["outcome"],
    registry=REGISTRY,
)

LOG_LINES_HELD_BACK: Final = Counter(
    "holdfast_log_lines_held_back",
    "Log lines left out to keep an outage readable.",
    registry=REGISTRY,
)
LOG_LINES_LOST: Final = Counter(
    "holdfast_log_lines_lost",
    "Log lines that could not be written.",
    registry=REGISTRY,
)
UNEXPECTED_ERRORS: Final = Counter(
    "holdfast_unexpected_errors",
    "Errors that were caught so that the process goes on, by place.",
    ["where"],
    registry=REGISTRY,
)
ProcessCollector(registry=REGISTRY)


def identify(process: str) -> None:
    """State which process this page belongs to, and since when it runs."""
    BUILD_INFO.labels(version=VERSION, process=process).set(1)
    PROCESS_START.set(time.time())


def record_redis_state(current: str) -> None:
    """Show `current` as the connection's one state, and now as the instant of the change."""
    for state in REDIS_STATES:
        REDIS_STATE.labels(state=state).set(1 if state == current else 0)
    REDIS_CHANGED_AT.set(time.time())


def record_request(*, method: str, route: str, status: int, took_s: float) -> None:
    """Count one answered request. `route` is the template, never the path: paths are without number."""
    known = method if method in METHODS else "other"
    HTTP_REQUESTS.labels(method=known, route=route, status=str(status)).inc()
    HTTP_DURATION.labels(method=known, route=route).observe(took_s)


def render(shared: Path | None = None) -> bytes:
    """The page: this process's metrics, joined with those its children keep in the folder `shared`."""
    if shared is None:
        return generate_latest(REGISTRY)
    page = CollectorRegistry()
    page.register(_Joined(shared))
    return generate_latest(page)


def forget_child(pid: int, shared: Path) -> None:
    """A child has ended: its counters stay, its gauges go."""
    mark_process_dead(pid, str(shared))  # type: ignore[no-untyped-call] # untyped there


class _Joined:
    """Families of the children, then those of this process that no child has."""

    def __init__(self, shared: Path) -> None:
        self._shared = shared

    def collect(self) -> Iterator[Metric]:
        theirs = list(MultiProcessCollector(None, str(self._shared)).collect())  # type: ignore[no-untyped-call] # untyped there
        names = {family.name for family in theirs}
        yield from theirs
        yield from (family for family in REGISTRY.collect() if family.name not in names)
