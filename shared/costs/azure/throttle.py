"""How long Azure asks to be left alone, from the headers of an answer."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

SUFFIX: Final = "retry-after"
# Nobody is taken at their word for longer than a day: the longest of Azure's quotas is by the hour.
LONGEST_S: Final = 86_400.0


def retry_after_s(headers: Iterable[tuple[str, str]], *, now: datetime) -> float | None:
    """The largest of all headers whose name ends in `retry-after`, in seconds from now; None when none can be read.

    Values are seconds or HTTP dates. Dates are reckoned from the answer's own `Date`, if there is one: clocks differ.
    """
    given = [(name.lower(), value) for name, value in headers]
    sent_at = next((at for name, value in given if name == "date" and (at := _instant(value))), now)
    waits = [_seconds(value, sent_at) for name, value in given if name.endswith(SUFFIX)]
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(value: str, now: datetime) -> float | None:
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return min(float(text), LONGEST_S)
    at = _instant(text)
    return None if at is None else min(max((at - now).total_seconds(), 0.0), LONGEST_S)


def _instant(value: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
