"""What a person typed, as values: days, lists of names. Every mistake names the option, what was given and the cure."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Final

from shared.core.days import DayRange, last_complete_day
from shared.core.errors import RequestError

MAX_DAYS: Final = 366
# Twenty years: what is asked for beyond is a slip of the finger.
LONGEST_DAYS: Final = 7_305


def day(text: str, *, option: str) -> date:
    """A calendar day written YYYY-MM-DD."""
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != text:
        raise RequestError(field=option, problem=f"'{text}' is no day", allowed="write it as in 2026-01-31")
    return parsed


def days(start: str | None, end: str | None, *, now: datetime, default_days: int, max_days: int = MAX_DAYS) -> DayRange:
    """The days from `start` to `end`, both inclusive; `default_days` complete ones where an end is left open.

    At most `max_days`, none of them in the future.
    """
    today = now.astimezone(UTC).date()
    given_start = _past_day(start, option="--start", today=today) if start is not None else None
    last = _past_day(end, option="--end", today=today) if end is not None else last_complete_day(now)
    if end is None and given_start:
        last = max(last, given_start)  # asking for today alone is asking for what there is of it
    first = given_start or date.fromordinal(max(1, last.toordinal() - default_days + 1))
    if last < first:
        raise RequestError(field="--end", problem=f"{last} comes before --start {first}", allowed="swap the two")
    asked = DayRange(first, last)
    if len(asked) > max_days:
        raise RequestError(
            field="--start", problem=f"that is {len(asked)} days", allowed=f"ask for at most {max_days} at once"
        )
    return asked


def ended_days(start: str, end: str | None, *, now: datetime) -> DayRange:
    """The days from `start` to `end` (left open: the newest that has ended), all of which have ended."""
    asked = days(start, end, now=now, default_days=1, max_days=LONGEST_DAYS)
    newest = last_complete_day(now)
    if asked.end > newest:
        raise RequestError(
            field="--end", problem=f"{asked.end} has not ended", allowed=f"the newest that has is {newest} (UTC)"
        )
    return asked


def open_days(start: str | None, end: str | None, *, now: datetime) -> tuple[date | None, date | None]:
    """The first and the last day, None where no bound is set; none of them in the future."""
    today = now.astimezone(UTC).date()
    first = _past_day(start, option="--start", today=today) if start is not None else None
    last = _past_day(end, option="--end", today=today) if end is not None else None
    if first is not None and last is not None:
        days(start, end, now=now, default_days=1)
    return first, last


def _past_day(text: str, *, option: str, today: date) -> date:
    value = day(text, option=option)
    if value > today:
        raise RequestError(
            field=option, problem=f"{value} lies in the future", allowed=f"the newest day is {today} (UTC)"
        )
    return value


def names(text: str, *, option: str, known: Collection[str]) -> tuple[str, ...]:
    """Names separated by commas, each of `known` and none twice."""
    given = tuple(one_of(part.strip(), option=option, known=known) for part in text.split(","))
    if len(set(given)) < len(given):
        raise RequestError(field=option, problem="a name is given twice", allowed="each at most once")
    return given


def one_of(name: str, *, option: str, known: Collection[str]) -> str:
    """`name`, when it is one of `known`."""
    if name in known:
        return name
    near = get_close_matches(name, known, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    raise RequestError(
        field=option, problem=f"'{name}' is not known", allowed=f"{meant}allowed: {', '.join(sorted(known))}"
    )
