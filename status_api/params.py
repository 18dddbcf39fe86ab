"""What a request asks for, decoded and checked: pure. Every mistake names its field and what is allowed."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from shared.core.anomalies import AnomalyKind
from shared.core.days import DayRange, last_complete_day
from shared.core.errors import RequestError, UnknownRunError
from shared.core.runs import RunKind, RunState
from shared.ledger import cost_queries
from shared.ledger.anomaly_queries import AnomalyQuery
from shared.ledger.revisions import RevisionFilter

MAX_DAYS: Final = 366
MAX_TEXT: Final = 200
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
MAX_RUN_ID: Final = 2**63 - 1
GROUPS: Final = tuple(cost_queries.GROUPS)
DEFAULT_GROUPS: Final = ("day", "service")

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LIMIT = re.compile(r"[0-9]{1,4}")
_RUN_ID = re.compile(r"[1-9][0-9]{0,18}")
_CACHE_KEY = re.compile(r"[A-Za-z0-9._:@+=,\-]{1,200}")
_DAY_ALLOWED = "a day as YYYY-MM-DD, such as 2026-01-31"

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a list shows, and from where it goes on."""

    state: RunState | None = None
    account: str | None = None
    kind: RunKind | None = None
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RunsAsked:
    """Runs that somebody asks for: `accounts` None means each that is not paused.

    `wording` is the request as it was sent: days left out of it move on at midnight, a repeated request does not.
    """

    accounts: Sequence[str] | None
    days: DayRange
    key: str | None = None
    wording: str = "{}"


def one_of_each(params: Mapping[str, Any], allowed: Collection[str]) -> dict[str, str]:
    """The query's parameters, each given once and known."""
    for name, value in params.items():
        if name not in allowed:
            offer = ", ".join(allowed) or "no parameters"
            raise RequestError(field=shown(name), problem="is not a parameter of this route", allowed=offer)
        if not isinstance(value, str):
            raise RequestError(field=name, problem="is given more than once", allowed="once")
    return dict(params)


def shown(name: str) -> str:
    """A name from outside, safe to repeat: short, and nothing that a terminal or a log would act on."""
    return "".join(character if character.isprintable() else "?" for character in name[:60])


def text(field: str, value: object, allowed: str) -> str:
    """A short printable text: what neither a database driver nor a log line stumbles over."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise RequestError(field=field, problem="is not a text of 1 to 200 printable characters", allowed=allowed)
    return value


def account_name(value: object) -> str:
    """An account's name, which may still be unknown."""
    return text("account", value, "the name of an account, as GET /api/v1/coverage lists them")


def choice(field: str, kind: type[Choice], value: str) -> Choice:
    """One of an enumeration's values."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(kind)
        raise RequestError(field=field, problem=f"is '{shown(value)}'", allowed=names) from None


def day(field: str, value: object) -> date:
    """A calendar day."""
    # fromisoformat alone would also take 20260131 and 2026-W05-6.
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise RequestError(
                field=field, problem=f"{value} is not a day of the calendar", allowed=_DAY_ALLOWED
            ) from None
    raise RequestError(field=field, problem="is not a day", allowed=_DAY_ALLOWED)


def day_range(given: Mapping[str, object], *, now: datetime, default_days: int) -> DayRange:
    """The days from `start` to `end`. Left out, `end` is the newest complete day, and the range has `default_days`."""
    start, end = _ends(given, today=now.date())
    if end is None:
        end = max(last_complete_day(now), start or date.min)
    if start is None:
        start = date.fromordinal(max(1, end.toordinal() - default_days + 1))
    return _checked(start, end)


def _ends(given: Mapping[str, object], *, today: date) -> tuple[date | None, date | None]:
    start = day("start", given["start"]) if "start" in given else None
    end = day("end", given["end"]) if "end" in given else None
    for field, value in (("start", start), ("end", end)):
        if value is not None and value > today:
            raise RequestError(field=field, problem=f"{value} lies in the future", allowed=f"up to {today} (UTC)")
    return start, end


def _checked(start: date, end: date) -> DayRange:
    if end < start:
        raise RequestError(field="end", problem=f"{end} comes before start, {start}", allowed="start or later")
    days = DayRange(start, end)
    if len(days) > MAX_DAYS:
        raise RequestError(
            field="end", problem=f"{start} to {end} are {len(days)} days", allowed=f"at most {MAX_DAYS} days"
        )
    return days


def ended_range(given: Mapping[str, object], *, now: datetime) -> DayRange:
    """The days from `start`, which must be given, to `end` (left out: the newest that has ended), all of them ended."""
    if "start" not in given:
        raise RequestError(field="start", problem="is missing", allowed=_DAY_ALLOWED)
    days = day_range(given, now=now, default_days=1)
    newest = last_complete_day(now)
    if days.end > newest:
        field = "end" if "end" in given else "start"
        raise RequestError(field=field, problem=f"{days.end} has not ended", allowed=f"up to {newest} (UTC)")
    return days


def flag(field: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise RequestError(field=field, problem="is neither true nor false", allowed="true, false")
    return value


def groups(value: str) -> tuple[str, ...]:
    """What to group by, in the order given."""
    names = tuple(value.split(","))
    for name in names:
        if name not in GROUPS:
            problem = f"'{shown(name)}' is not a group" if name else "a name is empty"
            raise RequestError(field="groupBy", problem=problem, allowed=f"some of {', '.join(GROUPS)}")
    if len(set(names)) < len(names):
        raise RequestError(field="groupBy", problem="a name is given twice", allowed="each at most once")
    return names


def run_filter(query: Mapping[str, str]) -> RunFilter:
    """The filter of a list of runs."""
    return RunFilter(
        state=choice("state", RunState, query["state"]) if "state" in query else None,
        account=account_name(query["account"]) if "account" in query else None,
        kind=choice("kind", RunKind, query["kind"]) if "kind" in query else None,
        limit=_limit(query["limit"]) if "limit" in query else DEFAULT_LIMIT,
        cursor=_cursor(query["cursor"]) if "cursor" in query else None,
    )


def anomaly_query(query: Mapping[str, str], days: DayRange) -> AnomalyQuery:
    """Which anomalies of `days` a list shows, and from where it goes on."""
    return AnomalyQuery(
        days=days,
        account=account_name(query["account"]) if "account" in query else None,
        kind=choice("kind", AnomalyKind, query["kind"]) if "kind" in query else None,
        limit=_limit(query["limit"]) if "limit" in query else DEFAULT_LIMIT,
        cursor=_cursor(query["cursor"]) if "cursor" in query else None,
    )


def revision_filter(query: Mapping[str, str], *, now: datetime) -> RevisionFilter:
    """The filter of a list of revisions. Left out, `start` and `end` set no bound; pages do."""
    start, end = _ends(query, today=now.date())
    if start is not None and end is not None:
        _checked(start, end)
    return RevisionFilter(
        account=account_name(query["account"]) if "account" in query else None,
        start=start,
        end=end,
        limit=_limit(query["limit"]) if "limit" in query else DEFAULT_LIMIT,
        cursor=_cursor(query["cursor"]) if "cursor" in query else None,
    )


def _limit(value: str) -> int:
    if _LIMIT.fullmatch(value) and 1 <= int(value) <= MAX_LIMIT:
        return int(value)
    raise RequestError(field="limit", problem="is not a number of entries", allowed=f"1 to {MAX_LIMIT}")


def _cursor(value: str) -> str:
    return text("cursor", value, "the value of `next` in an earlier answer")


def run_id(value: str) -> int:
    """A run's id as it stands in a path. What cannot be one is as unknown as one that is not there."""
    if _RUN_ID.fullmatch(value) and int(value) <= MAX_RUN_ID:
        return int(value)
    raise UnknownRunError(run_id=shown(value))


def cache_key(value: str) -> str:
    """A key of this application's cache."""
    if _CACHE_KEY.fullmatch(value):
        return value
    raise RequestError(
        field="key",
        problem="is not a key of the cache",
        allowed="1 to 200 of letters, digits and . _ : @ + = , -",
    )


def idempotency_key(value: str | None) -> str | None:
    """The Idempotency-Key header, None when it was not sent."""
    if value is None or (1 <= len(value) <= MAX_TEXT and value.isascii() and value.isprintable()):
        return value
    raise RequestError(field="Idempotency-Key", problem="is not usable", allowed="1 to 200 printable ASCII characters")
