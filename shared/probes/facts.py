"""Facts as JSON and back: what a child process tells the one that serves its health."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from shared.core.health import CheckResult, CheckStatus, ErrorFacts, RedisDetails, RedisHealth, Transition
from shared.probes.bodies import FleetMember

# The worse, the further right; what is unused is no worse than what is up.
_SEVERITY = (CheckStatus.UNUSED, CheckStatus.UP, CheckStatus.DEGRADED, CheckStatus.DOWN)
_STATES = ("connected", "connecting", "failed", "disconnected")


def check_to_json(check: CheckResult) -> dict[str, Any]:
    """A check as JSON values."""
    return {**asdict(check), "status": check.status.value}


def check_from_json(values: Mapping[str, Any]) -> CheckResult:
    """The check that `check_to_json` gave. Raises ValueError, KeyError or TypeError when it is none."""
    return CheckResult(
        CheckStatus(values["status"]), values.get("response_ms"), values.get("message"), bool(values.get("vital"))
    )


def redis_to_json(health: RedisHealth) -> dict[str, Any]:
    """The connection's facts as JSON values, instants in ISO 8601."""
    return {"status": health.status, "is_open": health.is_open, "details": _jsonable(asdict(health.details))}


def redis_from_json(values: Mapping[str, Any]) -> RedisHealth:
    """The facts that `redis_to_json` gave. Raises ValueError, KeyError or TypeError when they are none."""
    known = {field.name for field in fields(RedisDetails)}
    details = {name: value for name, value in values["details"].items() if name in known}
    details["error"] = _error(details.get("error"))
    details["degraded"] = _error(details.get("degraded"))
    details["next_attempt_at"] = _instant(details.get("next_attempt_at"))
    details["transitions"] = tuple(
        Transition(datetime.fromisoformat(change["at"]), change["previous"], change["current"], change["reason"])
        for change in details.get("transitions", ())
    )
    return RedisHealth(values["status"], values["is_open"], RedisDetails(**details))


def member_to_json(member: FleetMember) -> dict[str, Any]:
    """A process of the fleet as JSON values."""
    values: dict[str, Any] = _jsonable(asdict(member))
    return values


def member_from_json(values: Mapping[str, Any]) -> FleetMember:
    """The process that `member_to_json` gave. Raises ValueError, KeyError or TypeError when it is none."""
    given = dict(values)
    for name in ("started_at", "seen_at"):
        given[name] = datetime.fromisoformat(given[name])
    return FleetMember(**given)


def worst_check(checks: list[CheckResult]) -> CheckResult:
    """The worst of several processes' results, the first of equals. Raises ValueError without any."""
    return max(checks, key=lambda check: _SEVERITY.index(check.status))


def worst_redis(found: list[RedisHealth]) -> RedisHealth:
    """The least connected of several processes' links, the first of equals. Raises ValueError without any."""
    return max(found, key=lambda health: _STATES.index(health.status))


def _error(values: Mapping[str, Any] | None) -> ErrorFacts | None:
    if not values:
        return None
    at = datetime.fromisoformat(values["at"])
    return ErrorFacts(code=values["code"], summary=values["summary"], hint=values["hint"], at=at)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    return value
