"""A process that is told to end while it still starts: parts are stopped by another thread than starts them."""

import threading

import pytest

from shared.bootstrap.periodic import Periodic
from shared.core.health import CheckResult, CheckStatus
from shared.ledger.database import Database
from shared.ledger.migrate import Migrator
from shared.probes.checks import CheckRunner

UP = CheckResult(CheckStatus.UP)


@pytest.fixture(params=["periodic", "checks", "migrator"])
def part(request, tmp_path):
    if request.param == "periodic":
        yield Periodic(lambda: None, name="turns", interval_s=60)
    elif request.param == "checks":
        yield CheckRunner({"one": lambda: UP, "two": lambda: UP})
    else:
        db = Database(f"sqlite:///{tmp_path}/ledger.db")
        yield Migrator(db)
        db.dispose()


def test_a_part_that_is_stopped_while_it_starts_does_not_fail(part, monkeypatch):
    begun = []
    start = threading.Thread.start

    def stopped_first(thread):
        begun.append(thread)
        part.stop(0.0)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", stopped_first)
    part.start()
    part.stop(5.0)
    assert begun
    for thread in begun:
        thread.join(10)
        assert not thread.is_alive()
