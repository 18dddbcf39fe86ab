"""The table of credentials on both databases: turns are taken by one, results are told to all."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import update

from shared.core.credentials import UP, CredentialStatus, Finding, is_due
from shared.costs.accounts import AwsAccount
from shared.costs.sign_in import SignIns
from shared.ledger.accounts import sync_accounts
from shared.ledger.credentials import (
    CODE_CHARS,
    TEXT_CHARS,
    begin_check,
    read_credentials,
    record_finding,
)
from shared.ledger.database import Database
from shared.ledger.holds import hold_account
from shared.ledger.tables import credentials as table
from workers.credentials import ABANDONED_S, Agenda, CredentialChecks, DatabaseCredentials

pytestmark = pytest.mark.integration

REFUSED = Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "The session has expired", "Renew it")
UNSURE = Finding(CredentialStatus.DEGRADED, "AWS_NETWORK", "No route", "Look at the proxy")


@pytest.fixture
def db(database) -> Database:
    sync_accounts(database, [("payer", "aws", False), ("prod", "azure", False), ("files", "focus", False)])
    found: Database = database
    return found


def of(db, name="payer"):
    return next(each for each in read_credentials(db).credentials if each.account == name)


def check(db, found, name="payer"):
    turn = begin_check(db, of(db, name))
    assert turn is not None
    recorded = record_finding(db, of(db, name).account_id, turn, found)
    assert recorded is not None
    return recorded


def age(db, seconds, name="payer"):
    """Move the account's check into the past."""
    known = of(db, name)
    with db.write() as connection:
        connection.execute(
            update(table)
            .where(table.c.account_id == known.account_id)
            .values(
                checked_at=known.checked_at - timedelta(seconds=seconds),
                since=known.since - timedelta(seconds=seconds),
            )
        )


def test_only_accounts_that_sign_in_and_collect_are_listed(db):
    assert [each.account for each in read_credentials(db).credentials] == ["payer", "prod"]
    hold_account(db, "payer")
    sync_accounts(db, [("payer", "aws", False), ("prod", "azure", True), ("more", "aws", False)])
    seen = read_credentials(db)
    assert [each.account for each in seen.credentials] == ["more"]
    assert seen.idle == {"payer", "prod"}
    sync_accounts(db, [("payer", "aws", False)])
    assert read_credentials(db).idle == {"payer"}


def test_a_check_is_told_with_its_instants_by_the_databases_clock(db):
    assert not of(db).checked
    recorded = check(db, REFUSED)
    seen = read_credentials(db)
    known = of(db)
    assert (known.found, known.turn, known.checked) == (REFUSED, 2, True)
    assert known.since == known.checked_at == recorded.after.checked_at
    assert timedelta(0) <= seen.now - known.checked_at < timedelta(minutes=1)
    assert not recorded.before.checked


def test_since_stays_while_the_status_does(db):
    check(db, UP)
    began = of(db).since
    age(db, 400)
    check(db, UP)
    known = of(db)
    assert known.since == began - timedelta(seconds=400)
    assert known.checked_at > began
    recorded = check(db, REFUSED)
    assert (recorded.before.found, recorded.after.since) == (UP, recorded.after.checked_at)


def test_a_refusal_stands_while_nobody_can_tell(db):
    check(db, REFUSED)
    since = of(db).since
    recorded = check(db, UNSURE)
    assert (of(db).found, of(db).since) == (REFUSED, since)
    assert recorded.after.checked_at > since
    assert check(db, UP).before.found == REFUSED


def test_a_turn_is_taken_by_one_and_a_late_result_counts_for_nothing(db):
    first_seen = of(db)
    turn = begin_check(db, first_seen)
    assert turn == 1
    assert begin_check(db, first_seen) is None
    taken = of(db)
    assert not is_due(taken, now=read_credentials(db).now + timedelta(days=1), accounts=1)
    second = begin_check(db, taken)
    assert second == 3
    assert record_finding(db, taken.account_id, turn, REFUSED) is None
    assert record_finding(db, taken.account_id, second, UP) is not None
    assert record_finding(db, taken.account_id, second, REFUSED) is None
    assert of(db).found == UP


def test_texts_that_no_database_holds_are_made_to_fit(db):
    check(db, Finding(CredentialStatus.DOWN, "C" * 500, "a\0b" + "x" * 5000, "\ud800"))
    found = of(db).found
    assert found.code == "C" * CODE_CHARS
    assert found.summary == "a\ufffdb" + "x" * (TEXT_CHARS - 3)
    assert found.hint == "?"


def test_the_longest_unchecked_comes_first(db):
    check(db, UP, "payer")
    check(db, UP, "prod")
    age(db, 60, "prod")
    assert [each.account for each in read_credentials(db).credentials] == ["prod", "payer"]
    sync_accounts(db, [(name, "aws", False) for name in ("payer", "prod", "new")])
    assert [each.account for each in read_credentials(db).credentials] == ["new", "prod", "payer"]


class Accounts:
    def __init__(self, names):
        self.accounts = [AwsAccount(name=name, provider="aws", account_id="123456789012") for name in names]

    def current(self):
        return self.accounts


class Counting:
    """A provider that counts who signs in, and how many at a time as one account."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.doubled: set[str] = set()
        self.lock = threading.Lock()

    def provider_of(self, account):
        outer = self

        class Provider:
            def sign_in(self):
                with outer.lock:
                    outer.calls[account.name] += 1
                    outer.at_once[account.name] += 1
                    if outer.at_once[account.name] > 1:
                        outer.doubled.add(account.name)
                threading.Event().wait(0.01)
                with outer.lock:
                    outer.at_once[account.name] -= 1
                return "me"

        return Provider()


def test_several_workers_check_each_account_once(database, database_url):
    names = [f"account-{number:02}" for number in range(20)]
    sync_accounts(database, [(name, "aws", False) for name in names])
    counting = Counting()
    together = threading.Barrier(4)

    def work():
        own = Database(database_url)
        checking = CredentialChecks(
            DatabaseCredentials(own),
            Accounts(names),
            may_check=lambda: True,
            sign_ins=SignIns(counting.provider_of),
            pace_s=0.0,
        )
        together.wait(30)
        checking.turn()
        own.dispose()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert counting.calls == Counter(names)
    assert counting.doubled == set()
    assert {each.found for each in read_credentials(database).credentials} == {UP}


def test_who_died_while_checking_is_made_up_for(db):
    assert begin_check(db, of(db)) == 1
    agenda = Agenda()
    seen = read_credentials(db)
    assert "payer" not in {each.account for each in agenda.due(seen, now_s=0.0)}
    again = agenda.due(read_credentials(db), now_s=ABANDONED_S)
    assert "payer" in {each.account for each in again}
    turn = begin_check(db, of(db))
    assert turn == 3
    assert record_finding(db, of(db).account_id, turn, UP) is not None
    assert of(db).turn == 4
