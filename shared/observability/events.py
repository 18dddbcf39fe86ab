"""The names of what happens, one constant each: bound to a log line as `event`, stable for searches and alerts.

A line's text may be worded anew, its event never changes its meaning. `logger.bind(event=events.X, fact=...)`.
"""

from typing import Final

# Lines of these scopes (bound as `scope`) belong to one piece of work; no outage ever holds them back.
SCOPE_RUN: Final = "run"
SCOPE_REQUEST: Final = "request"

PROCESS_STARTED: Final = "process.started"
PROCESS_DRAINING: Final = "process.draining"
PROCESS_STOPPED: Final = "process.stopped"
PROCESS_STOPPED_AT_ONCE: Final = "process.stopped_at_once"
PROCESS_FAILED: Final = "process.failed"
PROCESS_PARENT_GONE: Final = "process.parent_gone"
PROCESS_CHILD_STARTED: Final = "process.child_started"
PROCESS_CHILD_LOST: Final = "process.child_lost"
PROCESS_INSECURE: Final = "process.unfit_for_production"
THREAD_FAILED: Final = "thread.failed"
UNEXPECTED_ERROR: Final = "error.unexpected"

REDIS_INITIALIZING: Final = "redis.initializing"
REDIS_INITIATED: Final = "redis.connection_initiated"
REDIS_ATTEMPT_FAILED: Final = "redis.attempt_failed"
REDIS_BUDGET_SPENT: Final = "redis.startup_budget_spent"
REDIS_READY: Final = "redis.ready"
REDIS_CONNECTED: Final = "redis.connected"
REDIS_LOST: Final = "redis.lost"
REDIS_RECONNECTING: Final = "redis.reconnecting"
REDIS_REFUSED: Final = "redis.refused"
REDIS_DEGRADED: Final = "redis.degraded"
REDIS_RESTORED: Final = "redis.restored"
REDIS_UNSTABLE: Final = "redis.unstable"
REDIS_STABLE: Final = "redis.stable"
REDIS_CAUSE_CHANGED: Final = "redis.cause_changed"
REDIS_CLOSED: Final = "redis.closed"
REDIS_CALLBACK_FAILED: Final = "redis.callback_failed"

EMBEDDED_REDIS_STARTED: Final = "embedded_redis.started"
EMBEDDED_REDIS_LOST: Final = "embedded_redis.lost"
EMBEDDED_REDIS_STOPPED: Final = "embedded_redis.stopped"
EMBEDDED_REDIS_FAILED: Final = "embedded_redis.failed"

DATABASE_LOST: Final = "database.lost"
DATABASE_BACK: Final = "database.back"
DATABASE_TROUBLED: Final = "database.troubled"
DATABASE_MIGRATED: Final = "database.migrated"
DATABASE_MIGRATION_FAILED: Final = "database.migration_failed"
DATABASE_TOO_NEW: Final = "database.schema_too_new"

ACCOUNTS_LOADED: Final = "accounts.loaded"
ACCOUNTS_INVALID: Final = "accounts.invalid"
ACCOUNTS_SYNCED: Final = "accounts.synced"
CREDENTIALS_REFUSED: Final = "credentials.refused"
CREDENTIALS_RESTORED: Final = "credentials.restored"
CREDENTIALS_HANGING: Final = "credentials.hanging"

SCHEDULE_DEFERRED: Final = "schedule.deferred"
SCHEDULE_REGISTERED: Final = "schedule.registered"
SCHEDULE_FIRED: Final = "schedule.fired"
MONTH_PLANNED: Final = "schedule.month_planned"
CATCHUP_PLANNED: Final = "catchup.planned"
ANOMALY_FOUND: Final = "anomaly.found"
ANOMALIES_STORED: Final = "anomaly.stored"
ANOMALIES_CLEARED: Final = "anomaly.cleared"
BUDGET_REACHED: Final = "budget.reached"
ALERT_RAISED: Final = "alert.raised"
ALERT_SENT: Final = "alert.sent"
ALERT_NOT_SENT: Final = "alert.not_sent"
ALERT_GIVEN_UP: Final = "alert.given_up"
DISPATCH_SENT: Final = "dispatch.sent"
DISPATCH_PUT_BACK: Final = "dispatch.put_back"
DISPATCH_RESENT: Final = "dispatch.resent"
DISPATCH_FAILED: Final = "dispatch.failed"
DISPATCH_FOREIGN_MARKER: Final = "dispatch.foreign_marker"

LEDGER_FORGOTTEN: Final = "ledger.forgotten"
LEDGER_SUMMED: Final = "ledger.summed"
DEAD_HINTS_REMOVED: Final = "dead_hints.removed"
DEAD_HINTS_KEPT: Final = "dead_hints.kept"

RUN_CLAIMED: Final = "run.claimed"
RUN_STALE: Final = "run.stale"
RUN_WAITS: Final = "run.waits"
RUN_FETCHED: Final = "run.fetched"
RUN_SUCCEEDED: Final = "run.succeeded"
DAYS_RESTATED: Final = "days.restated"
RUN_RETRIED: Final = "run.retried"
RUN_FAILED: Final = "run.failed"
RUN_HANDED_BACK: Final = "run.handed_back"
RUN_TAKEN_BACK: Final = "run.taken_back"
RUN_LOST: Final = "run.lost"
RUN_REQUESTED: Final = "run.requested"
DIRECT_MODE_ON: Final = "direct_mode.on"
DIRECT_MODE_OFF: Final = "direct_mode.off"
CONSUMER_FAILED: Final = "consumer.failed"
CONSUMER_DROPPED: Final = "consumer.dropped"

HTTP_LISTENING: Final = "http.listening"
HTTP_FAILED: Final = "http.failed"
HTTP_LOOP_FAILED: Final = "http.loop_failed"
HTTP_DRAIN_CUT: Final = "http.drain_cut"
HTTP_CROWDED: Final = "http.crowded"
EXPORT_CUT: Final = "export.cut"
PROBE_PORT_TAKEN: Final = "probe.port_taken"
PROBE_LISTENING: Final = "probe.listening"
CHECK_FAILED: Final = "check.failed"

LOG_HELD_BACK: Final = "log.held_back"
LIBRARY: Final = "library.line"

# What operators search for: shown even when an outage leaves no room for anything else.
ESSENTIAL: Final = frozenset(
    {
        REDIS_INITIALIZING,
        REDIS_INITIATED,
        REDIS_ATTEMPT_FAILED,
        REDIS_BUDGET_SPENT,
        REDIS_READY,
        REDIS_CONNECTED,
        REDIS_LOST,
        REDIS_RECONNECTING,
        REDIS_REFUSED,
        REDIS_UNSTABLE,
        PROCESS_STARTED,
        PROCESS_DRAINING,
        PROCESS_STOPPED,
        PROCESS_STOPPED_AT_ONCE,
        PROCESS_FAILED,
        SCHEDULE_DEFERRED,
        SCHEDULE_REGISTERED,
        ALERT_RAISED,
        ALERT_GIVEN_UP,
        DISPATCH_FOREIGN_MARKER,
        DIRECT_MODE_ON,
        DIRECT_MODE_OFF,
        LOG_HELD_BACK,
    }
)
