"""The straight path: planned, queued, claimed, stored, covered."""

from datetime import date
from decimal import Decimal

import pytest

from shared.core.costs import CoverageState, FetchedCosts
from shared.core.days import DayRange
from shared.core.runs import RunKind, RunState
from shared.ledger.claims import claim
from shared.ledger.dispatch import dispatch_due
from shared.ledger.planning import plan_catchup
from shared.ledger.queries import CostQuery, costs, coverage, data_version, find_runs, get_run, run_counts
from shared.ledger.store import store
from tests.support.ledger import JANUARY, FakeSender, cost_row, with_accounts

pytestmark = pytest.mark.integration


def test_a_gap_is_planned_queued_claimed_stored_and_covered(database):
    with_accounts(database, "corp", "lab")
    sender = FakeSender()

    planned = plan_catchup(database, days=JANUARY)
    assert [(run.account, run.kind, run.days, run.state, run.attempt) for run in planned] == [
        ("corp", RunKind.CATCHUP, JANUARY, RunState.PENDING, 1),
        ("lab", RunKind.CATCHUP, JANUARY, RunState.PENDING, 1),
    ]

    dispatched = dispatch_due(database, sender, window=1000)
    assert dispatched.sent == tuple(run.id for run in planned)
    assert [message.run_id for message in sender.sent] == list(dispatched.sent)

    claimed = claim(database, sender.sent[0], holder="worker-1")
    assert claimed is not None
    assert claimed.run.state is RunState.RUNNING
    assert claimed.run.started_at is not None

    rows = [cost_row(date(2026, 1, 2), billed="1.25"), cost_row(date(2026, 1, 3), billed="-0.50", service="credit")]
    stored = store(database, claimed, FetchedCosts(rows, frozenset({date(2026, 1, 3)})))
    assert stored is not None
    assert stored.rows == 2

    done = get_run(database, planned[0].id)
    assert (done.state, done.rows, done.error) == (RunState.SUCCEEDED, 2, None)
    assert done.finished_at is not None
    days = {day.day: (day.state, day.rows) for day in coverage(database, days=JANUARY, account="corp")[0].days}
    assert days[date(2026, 1, 1)] == (CoverageState.COMPLETE, 0)
    assert days[date(2026, 1, 2)] == (CoverageState.COMPLETE, 1)
    assert days[date(2026, 1, 3)] == (CoverageState.ESTIMATED, 1)

    report = costs(database, CostQuery(JANUARY, ("day", "service")))
    assert report.rows == [
        {
            "day": date(2026, 1, 2),
            "service": "compute",
            "currency": "USD",
            "amount": Decimal("1.25"),
        },
        {"day": date(2026, 1, 3), "service": "credit", "currency": "USD", "amount": Decimal("-0.5")},
    ]
    assert report.totals == [{"currency": "USD", "amount": Decimal("0.75")}]
    assert report.as_of is not None
    assert data_version(database) == data_version(database, "corp") == 1
    assert run_counts(database)[RunState.SUCCEEDED] == 1
    assert run_counts(database)[RunState.QUEUED] == 1
    assert plan_catchup(database, days=JANUARY) == []
    assert [run.account for run in find_runs(database, state=RunState.SUCCEEDED).runs] == ["corp"]


def test_what_is_not_covered_is_one_run_per_gap(database):
    with_accounts(database, "corp")
    (middle,) = plan_catchup(database, days=DayRange(date(2026, 1, 10), date(2026, 1, 12)))
    left, right = plan_catchup(database, days=JANUARY)
    assert left.days == DayRange(JANUARY.start, date(2026, 1, 9))
    assert right.days == DayRange(date(2026, 1, 13), JANUARY.end)
    assert middle.state is RunState.PENDING
