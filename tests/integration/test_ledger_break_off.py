"""Breaking off what is being written, on both databases, with a statement that would take for ever."""

import threading
import time

import pytest
from sqlalchemy import text, update

from shared.core.errors import DatabaseUnavailableError
from shared.ledger.tables import accounts
from tests.support.ledger import with_accounts
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

LONG = {
    "sqlite": "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(25)",
}


@pytest.fixture
def writing(database):
    """A thread whose transaction has changed something and goes on for ever; gives it and what it raised."""
    with_accounts(database, "one")
    begun, raised = threading.Event(), []

    def write():
        try:
            with database.write() as connection:
                connection.execute(update(accounts).values(paused=True))
                begun.set()
                connection.execute(text(LONG[database.dialect]))
        except DatabaseUnavailableError as error:
            raised.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    assert begun.wait(10)
    yield thread, raised
    thread.join(30)


def test_what_is_broken_off_is_undone_and_others_can_write_at_once(database, writing):
    thread, raised = writing
    began_s = time.monotonic()
    assert database.break_off_writes(10)
    with database.write() as connection:
        changed = connection.execute(update(accounts).where(~accounts.c.paused).values(paused=True))
        assert changed.rowcount == 1
    # Far below what the statement would have taken.
    assert time.monotonic() - began_s < 10
    wait_for(lambda: not thread.is_alive(), 5, "the thread to be free")
    assert len(raised) == 1


def test_with_nothing_under_way_there_is_nothing_to_wait_for(database):
    assert database.break_off_writes(0.1)
    with database.read() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
