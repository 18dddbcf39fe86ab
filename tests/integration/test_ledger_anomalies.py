"""Anomalies in the ledger: found where data has changed, kept and told of once, cleared when they are restated away."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from shared.core.anomalies import AnomalyKind, find
from shared.core.days import DayRange, last_complete_day
from shared.core.errors import RequestError, UnknownAccountError
from shared.ledger import anomalies as ledger_anomalies
from shared.ledger.anomalies import TELL_DAYS, changed_accounts, look_at
from shared.ledger.anomaly_queries import AnomalyQuery, find_anomalies
from shared.ledger.clock import now
from shared.ledger.notices import notice_sent, take_notice
from shared.ledger.tables import notices
from tests.support.anomalies import jitter
from tests.support.ledger import collected, cost_row, with_accounts

pytestmark = pytest.mark.integration

YESTERDAY = last_complete_day(datetime.now(UTC))
PAST = 40


def ago(days):
    return YESTERDAY - timedelta(days=days)


def rows(days, spikes=(), service="compute"):
    return [
        cost_row(day, effective=f"{(500 if day in spikes else 100) * jitter(day):.4f}", service=service) for day in days
    ]


def filled(db, account, start, end, spikes=(), **facts):
    days = DayRange(start, end)
    return collected(db, account, days, rows(days, spikes), **facts)


def watched(db, name="corp"):
    """An account with a past that was looked at."""
    with_accounts(db, name)
    filled(db, name, ago(PAST), ago(1))
    look(db)


def let_first_look_be_long_ago(db):
    with db.write() as connection:
        connection.execute(update(notices).values(day=ago(100)))


def look(db, *, post=True):
    return [look_at(db, account, post=post) for account in changed_accounts(db, limit=100)]


def stored(db, **wanted):
    return list(find_anomalies(db, AnomalyQuery(days=DayRange(ago(400), YESTERDAY), **wanted)).anomalies)


def told(db):
    with db.read() as connection:
        return [row.day for row in connection.execute(select(notices).where(notices.c.kind == "anomaly"))]


def test_an_account_is_looked_at_when_its_data_has_changed(database):
    with_accounts(database, "corp", "empty")
    assert changed_accounts(database, limit=9) == []
    filled(database, "corp", ago(PAST), ago(1))
    assert [account.name for account in changed_accounts(database, limit=9)] == ["corp"]
    look(database)
    assert changed_accounts(database, limit=9) == []
    filled(database, "corp", YESTERDAY, YESTERDAY)
    assert [account.name for account in changed_accounts(database, limit=9)] == ["corp"]


def test_a_day_that_was_not_to_be_expected_is_kept_and_told_of_once(database):
    watched(database)
    filled(database, "corp", ago(6), YESTERDAY, [YESTERDAY])
    (found,) = look(database)
    assert [(one.day, one.kind) for one in found.told] == [(YESTERDAY, AnomalyKind.SPIKE)]
    filled(database, "corp", ago(6), YESTERDAY, [YESTERDAY])
    (again,) = look(database)
    assert (again.new, again.told, again.cleared) == ((), (), 0)

    (kept,) = stored(database)
    assert (kept.account, kept.provider, kept.day, kept.service) == ("corp", "focus", YESTERDAY, "compute")
    assert kept.actual == Decimal(f"{500 * jitter(YESTERDAY):.4f}")
    assert 90 < kept.expected < 110
    assert kept.cleared_at is None
    notice = take_notice(database)
    assert notice is not None
    assert (notice.account, notice.day, notice.attempt, notice.last) == ("corp", YESTERDAY, 1, False)
    assert notice.document["anomaly"] == "spike"
    assert notice.document["text"].startswith(f"Holdfast: corp: compute cost {kept.actual:.2f} USD on {YESTERDAY}, ")
    assert take_notice(database) is None
    notice_sent(database, notice.id)
    assert told(database) == [YESTERDAY]


def test_a_first_look_keeps_what_was_and_tells_of_yesterday_alone(database):
    with_accounts(database, "corp")
    filled(database, "corp", ago(PAST), YESTERDAY, [YESTERDAY, ago(3), ago(20)])
    (found,) = look(database)
    assert [one.day for one in found.new] == [ago(20), ago(3), YESTERDAY]
    assert [one.day for one in found.told] == [YESTERDAY]
    assert [one.day for one in stored(database)] == [YESTERDAY, ago(3), ago(20)]


def test_days_that_come_late_are_told_of_while_they_are_news(database):
    watched(database)
    let_first_look_be_long_ago(database)
    old, recent = ago(TELL_DAYS + 2), ago(TELL_DAYS - 2)
    filled(database, "corp", ago(PAST), YESTERDAY, [old, recent])
    (found,) = look(database)
    assert [one.day for one in found.new] == [old, recent]
    assert [one.day for one in found.told] == [recent]


def test_days_in_a_row_are_told_of_once(database):
    watched(database)
    let_first_look_be_long_ago(database)
    filled(database, "corp", YESTERDAY - timedelta(days=1), YESTERDAY, [ago(1), YESTERDAY])
    (found,) = look(database)
    assert [one.day for one in found.new] == [ago(1), YESTERDAY]
    assert [one.day for one in found.told] == [ago(1)]


@pytest.mark.parametrize("state", ["estimated", "suspect"])
def test_days_that_are_not_complete_are_not_judged(database, state):
    watched(database)
    if state == "estimated":
        filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY], estimated_days=frozenset({YESTERDAY}))
    else:
        filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY])
        collected(database, "corp", DayRange(YESTERDAY, YESTERDAY), [])
    look(database)
    assert stored(database) == []


def test_a_day_restated_as_expected_is_cleared_and_nobody_hears_of_it_any_more(database):
    watched(database)
    filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY])
    look(database)
    filled(database, "corp", YESTERDAY, YESTERDAY)
    (found,) = look(database)
    assert (found.new, found.cleared) == ((), 1)
    (kept,) = stored(database)
    assert kept.cleared_at is not None
    assert take_notice(database) is None

    filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY])
    (back,) = look(database)
    assert (back.new, back.told) == ((), ())
    assert [one.cleared_at for one in stored(database)] == [None]
    assert told(database) == [YESTERDAY]


def test_an_older_day_that_is_restated_is_cleared_too(database):
    with_accounts(database, "corp")
    filled(database, "corp", ago(100), YESTERDAY, [ago(38)])
    look(database)
    assert [one.day for one in stored(database)] == [ago(38)]
    filled(database, "corp", ago(40), ago(30))
    look(database)
    assert [one.cleared_at is None for one in stored(database)] == [False]


def test_a_restated_day_that_stays_unusual_shows_its_new_figure(database):
    watched(database)
    filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY])
    look(database)
    collected(database, "corp", DayRange(YESTERDAY, YESTERDAY), [cost_row(YESTERDAY, effective="750")])
    look(database)
    assert [(one.actual, one.cleared_at) for one in stored(database)] == [(Decimal(750), None)]
    assert told(database) == [YESTERDAY]


def test_any_number_of_schedulers_keep_and_tell_once(database):
    with_accounts(database, *(f"account-{number}" for number in range(4)))
    for number in range(4):
        filled(database, f"account-{number}", ago(PAST), YESTERDAY, [YESTERDAY])

    changed = changed_accounts(database, limit=100)
    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(look_at, database, account, post=True) for account in changed * 3]
    assert sum(len(done.result().told) for done in looks) == 4
    assert len(stored(database)) == 4
    assert told(database) == [YESTERDAY] * 4
    assert changed_accounts(database, limit=100) == []


def test_what_is_stored_while_somebody_looks_is_looked_at_again(database, monkeypatch):
    watched(database)
    filled(database, "corp", ago(6), ago(1))

    def slow(history, days):
        monkeypatch.undo()
        filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY])
        return find(history, days)

    monkeypatch.setattr(ledger_anomalies, "find", slow)
    look(database)
    assert stored(database) == []
    assert len(changed_accounts(database, limit=9)) == 1
    look(database)
    assert [one.day for one in stored(database)] == [YESTERDAY]


def test_without_an_address_nothing_waits_to_be_sent(database):
    watched(database)
    filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY])
    (found,) = look(database, post=False)
    assert len(found.told) == 1
    assert take_notice(database) is None


def test_a_notice_that_did_not_arrive_is_taken_again_and_given_up_after_a_day(database):
    watched(database)
    filled(database, "corp", YESTERDAY, YESTERDAY, [YESTERDAY])
    look(database)
    first = take_notice(database)
    with database.write() as connection:
        hour = now(connection) - timedelta(hours=1)
        connection.execute(update(notices).where(notices.c.next_try_at.is_not(None)).values(next_try_at=hour))
    second = take_notice(database)
    assert first is not None
    assert second is not None
    assert (second.key, second.attempt) == (first.key, 2)
    with database.write() as connection:
        old = now(connection) - timedelta(days=1)
        connection.execute(update(notices).where(notices.c.kind == "anomaly").values(created_at=old, next_try_at=old))
    last = take_notice(database)
    assert last is not None
    assert last.last
    assert take_notice(database) is None


def test_a_service_with_an_endless_name_is_left_alone(database):
    watched(database)
    endless = [cost_row(YESTERDAY, effective="900", service="x" * 5000)]
    collected(database, "corp", DayRange(YESTERDAY, YESTERDAY), [*rows([YESTERDAY]), *endless])
    look(database)
    assert stored(database) == []


def test_pages_go_by_day_and_filters_narrow_them(database):
    with_accounts(database, "corp", "lab")
    spikes = [ago(2), ago(9), ago(20)]
    for name in ("corp", "lab"):
        filled(database, name, ago(PAST), YESTERDAY, spikes)
    look(database)
    pages, cursor = [], None
    while True:
        page = find_anomalies(database, AnomalyQuery(days=DayRange(ago(30), YESTERDAY), limit=2, cursor=cursor))
        pages.append([(one.day, one.account) for one in page.anomalies])
        cursor = page.next
        if cursor is None:
            break
    assert [{day for day, _ in page} for page in pages] == [{day} for day in spikes]
    assert all({name for _, name in page} == {"corp", "lab"} for page in pages)
    assert [one.day for one in stored(database, account="lab")] == spikes
    assert stored(database, kind=AnomalyKind.DROP) == []
    few = find_anomalies(database, AnomalyQuery(days=DayRange(ago(10), ago(5))))
    assert {one.day for one in few.anomalies} == {ago(9)}
    with pytest.raises(UnknownAccountError):
        stored(database, account="nobody")
    for wrong in ("nonsense", "ÿ", "MjAyNi0wMS0wMTow"):
        with pytest.raises(RequestError):
            stored(database, cursor=wrong)
