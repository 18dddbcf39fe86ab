"""kill -9 in the middle of a store: nothing of it is there afterwards, and the repeat is complete."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from shared.core.runs import RunState
from shared.costs.focus.provider import FocusProvider
from shared.ledger.claims import claim_next_due, running_beats, take_back
from shared.ledger.queries import CostQuery, costs, get_run
from shared.ledger.store import store
from shared.ledger.tables import costs as cost_table
from shared.ledger.tables import coverage
from tests.support.focus_files import SEPTEMBER, row, totals, write_csv
from tests.support.ledger import requested, with_accounts

pytestmark = pytest.mark.integration
ROWS = 3000
CHILD_LIMIT_S = 60
# All rows are with the database; all but the commit is done.
STEPS = ("_replace", "_finish")


def written(folder: Path) -> Path:
    services = [row(ServiceName=f"Service {number}", BilledCost=f"{number}.000000000001") for number in range(ROWS)]
    return write_csv(folder / "export.csv", services)


@pytest.mark.parametrize("step", STEPS)
def test_a_store_that_is_killed_leaves_nothing_and_its_repeat_is_complete(database, database_url, tmp_path, step):
    path = written(tmp_path)
    with_accounts(database, "exports")
    run = requested(database, "exports", SEPTEMBER)
    died = subprocess.run(
        [sys.executable, "-m", "tests.support.dying_store", database_url, str(path), step],
        check=False,
        timeout=CHILD_LIMIT_S,
    )
    assert died.returncode == -signal.SIGKILL
    # Waits for the dead one's transaction, which the server may not have noticed yet.
    (seen,) = running_beats(database)
    assert take_back(database, seen)
    with database.read() as connection:
        left = [connection.scalar(select(func.count()).select_from(table)) for table in (cost_table, coverage)]
    assert left == [0, 0]

    again = claim_next_due(database, holder="worker-2")
    assert again is not None
    stored = store(database, again, FocusProvider(str(path)).fetch(SEPTEMBER))
    assert stored is not None
    assert stored.rows == ROWS
    assert get_run(database, run.id).state is RunState.SUCCEEDED
    (total,) = costs(database, CostQuery(SEPTEMBER)).totals
    assert total["amount"] == sum(totals(path, "BillingCurrency").values())
