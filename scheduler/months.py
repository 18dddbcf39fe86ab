"""Which fires have the previous month collected again. Pure."""

from collections.abc import Collection
from datetime import date, datetime, time

from scheduler.timetable import RESOLUTION, Fire, Timetable, instant
from shared.core.days import DayRange, last_complete_day
from shared.core.months import MonthAgain, previous_month


def month_again(timetable: Timetable, fire: Fire, restate_days: Collection[int]) -> MonthAgain | None:
    """The previous month, when one of `restate_days` (of the month, local) has come by the day of `fire`.

    Of those that have come the newest asks for it, until the month ends: a fire that did not happen that day is made up
    for by the next one. The ledger knows what was planned for it already.
    """
    today = date.fromisoformat(fire.slot[:10])
    come = [day for day in restate_days if day <= today.day]
    if not come:
        return None
    due = today.replace(day=max(come))
    # Just before the day begins.
    asked = timetable.next(instant(datetime.combine(due, time.min), timetable.zone) - RESOLUTION)
    month = previous_month(today)
    # East of Greenwich the first of a month begins while the last day of the one before is under way.
    days = DayRange(month.start, min(month.end, last_complete_day(fire.at)))
    return MonthAgain(days, due, today, known_by=asked.at if asked.at < fire.at else None)
