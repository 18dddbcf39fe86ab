"""The health answers' bodies as functions of facts. Keys are camelCase, instants end in Z, nothing here does I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from shared.core.credentials import Credential, codes_of
from shared.core.health import CheckResult, CheckStatus, ErrorFacts, RedisHealth, Verdict, overall

CONNECTED: Final = "connected"
# More accounts than these are counted: a worker process tells its launcher all of it in one datagram.
LISTED: Final = 20
# Every process answers these, in this order; its own come after them.
CREDENTIALS: Final[Mapping[str, str]] = {"azureCredentials": "azure", "awsCredentials": "aws"}


@dataclass(frozen=True, slots=True)
class Live:
    """Whether the process itself works; `reasons` say what does not."""

    reasons: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """No reason to restart the process."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Ready:
    """The body of a readiness answer, and whether it is a 200."""

    ok: bool
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """When an answer is made, and how long the process has run by then."""

    now: datetime
    uptime_s: float


@dataclass(frozen=True, slots=True)
class FleetMember:
    """One process of the fleet, as the database knows it. Instants are aware."""

    name: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    redis: str


def iso(at: datetime) -> str:
    """UTC ISO 8601 with milliseconds and Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def live_body(live: Live, moment: Moment) -> dict[str, Any]:
    """Body of /health/live."""
    if not live.ok:
        return {"status": "stuck", "reasons": list(live.reasons)}
    return {"status": "alive", "timestamp": iso(moment.now), "uptime": round(moment.uptime_s, 3)}


def ready_answer(checks: Mapping[str, CheckResult], moment: Moment, *, version: str, draining: bool = False) -> Ready:
    """Answer of /health/ready: 503 when something vital is down, or while draining."""
    verdict = overall(checks.values())
    body: dict[str, Any] = {
        "status": verdict.value,
        "timestamp": iso(moment.now),
        "uptime": round(moment.uptime_s, 3),
        "version": version,
        "checks": {name: check_body(check) for name, check in checks.items()},
    }
    if draining:
        body["draining"] = True
    return Ready(ok=verdict is not Verdict.UNHEALTHY and not draining, body=body)


def check_body(check: CheckResult) -> dict[str, Any]:
    """One check: its status, and what else is known of it."""
    body: dict[str, Any] = {"status": check.status.value}
    if check.response_ms is not None:
        body["responseTime"] = round(check.response_ms, 3)
    if check.message is not None:
        body["message"] = check.message
    return body


def redis_check(health: RedisHealth) -> CheckResult:
    """Redis as a check: never vital, since the core works without it."""
    details = health.details
    if health.status == CONNECTED:
        if details.degraded:
            return CheckResult(CheckStatus.DEGRADED, details.response_ms, details.degraded.summary)
        return CheckResult(CheckStatus.UP, details.response_ms, f"Connected for {int(details.uptime or 0)}s")
    if health.status == "connecting":
        return CheckResult(CheckStatus.DEGRADED, message=f"Connecting (attempt {details.attempt})")
    return CheckResult(CheckStatus.DOWN, message=details.last_error or "Not started")


def dependencies_body(
    redis: RedisHealth,
    database: Mapping[str, Any],
    checks: Mapping[str, CheckResult],
    fleet: Sequence[FleetMember],
    *,
    credentials: Mapping[str, Sequence[Credential]] | None = None,
    production: bool = False,
) -> dict[str, Any]:
    """Body of /health/dependencies.

    `database` holds facts to show beside its check's result, `credentials` the accounts behind each check of that name,
    the worst first. In production errors are told by their codes only: their texts name hosts and users.
    """
    return {
        "redis": redis_body(redis, production=production),
        "database": database_body(checks["database"], database, production=production),
        **{
            name: credentials_body(checks[name], (credentials or {}).get(name, ()), production=production)
            for name in ("awsCredentials", "azureCredentials")
        },
        "processes": [member_body(member) for member in fleet],
    }


def redis_body(health: RedisHealth, *, production: bool = False) -> dict[str, Any]:
    """Everything known of the connection."""
    details = health.details
    error = details.error or details.degraded
    return {
        "status": "connected" if health.status == CONNECTED else "disconnected",
        "connectionState": health.status,
        "retryCount": details.retry_count,
        "uptime": None if details.uptime is None else round(details.uptime, 3),
        "responseTime": None if details.response_ms is None else round(details.response_ms, 3),
        "url": details.url,
        "lastError": error_body(error, production=production) if error else None,
        "nextAttemptAt": iso(details.next_attempt_at) if details.next_attempt_at else None,
        "server": {"version": details.server_version, "role": details.server_role},
        "transitions": [
            {"at": iso(change.at), "from": change.previous, "to": change.current, "reason": change.reason}
            for change in details.transitions
        ],
    }


def error_body(error: ErrorFacts, *, production: bool) -> dict[str, Any]:
    """An error's code and when it was first seen; outside production also what it says and what to do."""
    if production:
        return {"code": error.code, "at": iso(error.at)}
    return {"code": error.code, "summary": error.summary, "hint": error.hint, "at": iso(error.at)}


def database_body(check: CheckResult, facts: Mapping[str, Any], *, production: bool) -> dict[str, Any]:
    """The database's check, and `facts` such as its dialect."""
    body = check_body(check)
    if production and check.status is not CheckStatus.UP and "message" in body:
        body["message"] = "DATABASE_UNAVAILABLE"
    return {**body, **facts}


def credentials_body(check: CheckResult, found: Sequence[Credential], *, production: bool) -> dict[str, Any]:
    """The check of one provider's credentials and its accounts, `omitted` of which are left out."""
    body = check_body(check)
    if production and check.status is CheckStatus.DEGRADED:
        body["message"] = ", ".join(codes_of(found)) or "CREDENTIALS_STALE"
    listed = [credential_body(each, production=production) for each in found[:LISTED]]
    return {**body, "accounts": listed, "omitted": len(found) - len(listed)}


def credential_body(credential: Credential, *, production: bool) -> dict[str, Any]:
    """One account's credentials; in production without the error's texts."""
    found = credential.found
    body: dict[str, Any] = {"account": credential.account, "status": found.status.value, "code": found.code}
    if not production:
        body |= {"summary": found.summary, "hint": found.hint}
    since, checked_at = credential.since, credential.checked_at
    return body | {"since": iso(since) if since else None, "checkedAt": iso(checked_at) if checked_at else None}


def member_body(member: FleetMember) -> dict[str, Any]:
    """One process of the fleet."""
    return {
        "name": member.name,
        "host": member.host,
        "pid": member.pid,
        "version": member.version,
        "startedAt": iso(member.started_at),
        "seenAt": iso(member.seen_at),
        "redis": member.redis,
    }
