"""How runs, coverage and costs look in JSON: one shape for the API's answers and for the command's `--json`."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from shared.core.budgets import BudgetStatus
from shared.core.costs import Metric
from shared.core.credentials import Credential
from shared.core.revisions import Change
from shared.core.runs import Run
from shared.ledger.anomaly_queries import AnomalyPage, KnownAnomaly
from shared.ledger.queries import AccountCoverage, CostReport
from shared.ledger.revisions import Revision
from shared.ledger.standing import AccountStanding


def instant(value: datetime | None) -> str | None:
    """UTC with milliseconds and Z."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def amount(value: Decimal, *, signed: bool = False) -> str:
    """Plain notation without exponent, every digit that counts: no trailing zeros, and zero has no sign.

    `signed` puts a plus before what is more than zero.
    """
    # Not normalize(): it rounds to the context's 28 digits.
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    plain = "0" if plain == "-0" else plain
    return f"+{plain}" if signed and value > 0 else plain


def run_document(run: Run) -> dict[str, Any]:
    """A run; its id is a string, since JavaScript rounds large numbers."""
    return {
        "id": str(run.id),
        "account": run.account,
        "provider": run.provider,
        "kind": run.kind.value,
        "start": run.days.start.isoformat(),
        "end": run.days.end.isoformat(),
        "state": run.state.value,
        "attempt": run.attempt,
        "notBefore": instant(run.not_before),
        "createdAt": instant(run.created_at),
        "startedAt": instant(run.started_at),
        "finishedAt": instant(run.finished_at),
        "rows": run.rows,
        "error": {"code": run.error.code, "summary": run.error.summary, "hint": run.error.hint} if run.error else None,
    }


def runs_document(runs: Sequence[Run], following: str | None) -> dict[str, Any]:
    """A page of runs; `next` is the cursor of the one after, None on the last."""
    return {"runs": [run_document(run) for run in runs], "next": following}


def revision_document(revision: Revision) -> dict[str, Any]:
    """One change of a day; null stands for no costs at all. Ids are strings, as a run's."""
    change = revision.change
    return {
        "id": str(revision.id),
        "account": revision.account,
        "day": change.of.day.isoformat(),
        "service": change.of.service,
        "currency": change.of.currency,
        **{metric.value: _sides(change, metric) for metric in Metric},
        "changedAt": instant(revision.changed_at),
        "runId": str(revision.run_id),
    }


def revisions_document(revisions: Sequence[Revision], following: str | None) -> dict[str, Any]:
    """A page of revisions; `next` is the cursor of the one after, None on the last."""
    return {"revisions": [revision_document(revision) for revision in revisions], "next": following}


def _sides(change: Change, metric: Metric) -> dict[str, str | None]:
    sides = {"before": change.before, "after": change.after}
    return {name: None if side is None else amount(side.of(metric)) for name, side in sides.items()}


def coverage_document(account: AccountCoverage) -> dict[str, Any]:
    """What is known of one account's days."""
    return {
        "account": account.account,
        "provider": account.provider,
        "paused": account.paused,
        "days": [
            {
                "day": known.day.isoformat(),
                "state": known.state.value,
                "rows": known.rows,
                "collectedAt": instant(known.collected_at),
            }
            for known in account.days
        ],
    }


def account_document(standing: AccountStanding) -> dict[str, Any]:
    """How one account stands; `credentials` is null where the provider asks nobody who they are."""
    account, last_day = standing.account, standing.last_complete_day
    return {
        "account": account.name,
        "provider": account.provider,
        "paused": account.paused,
        "held": account.held,
        "removed": account.removed,
        "credentials": _credentials(standing.credentials) if standing.credentials else None,
        "lastCompleteDay": last_day.isoformat() if last_day else None,
    }


def _credentials(credential: Credential) -> dict[str, Any]:
    found = credential.found
    return {
        "status": found.status.value,
        "code": found.code,
        "summary": found.summary,
        "hint": found.hint,
        "since": instant(credential.since),
        "checkedAt": instant(credential.checked_at),
    }


def costs_document(report: CostReport) -> dict[str, Any]:
    """The rows and totals of a report, amounts as exact text."""
    return {
        "rows": [_plain(row) for row in report.rows],
        "totals": [_plain(total) for total in report.totals],
        "asOf": instant(report.as_of),
    }


def costs_json(head: Mapping[str, Any], report: CostReport) -> bytes:
    """`head` and `costs_document` of the report as one compact JSON object, in a fifth of the time of encoding them.

    Groups repeat: each value is encoded once, and each row is filled into the same form.
    """
    known = _Encoded()
    names = ",".join(f"{json.dumps(name)}:%s" for name in report.columns[:-1])
    row = f'{{{names},"amount":"%s"}}'
    by_column = zip(*report.values, strict=True)
    encoded = [map(known.__getitem__, column) for column in by_column][:-1]
    rows = map(row.__mod__, zip(*encoded, [values[-1] for values in report.values], strict=True))
    rest = {"totals": [_plain(total) for total in report.totals], "asOf": instant(report.as_of)}
    return f'{_text(head)[:-1]},"rows":[{",".join(rows)}],{_text(rest)[1:]}'.encode()


class _Encoded(dict[object, str]):
    """Values as JSON, each made when it is first asked for."""

    def __missing__(self, value: object) -> str:
        text = self[value] = _text(_value(value))
        return text


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def anomaly_document(one: KnownAnomaly) -> dict[str, Any]:
    """An anomaly; `clearedAt` is null while it is one."""
    return {
        "id": str(one.id),
        "account": one.account,
        "provider": one.provider,
        "day": one.day.isoformat(),
        "service": one.service,
        "currency": one.currency,
        "kind": one.kind.value,
        "expected": amount(one.expected),
        "actual": amount(one.actual),
        "score": one.score,
        "foundAt": instant(one.found_at),
        "clearedAt": instant(one.cleared_at),
    }


def anomalies_document(page: AnomalyPage) -> dict[str, Any]:
    """A page of anomalies; `next` is the cursor of the one after, None on the last."""
    return {"anomalies": [anomaly_document(one) for one in page.anomalies], "next": page.next}


def budget_document(status: BudgetStatus) -> dict[str, Any]:
    """How far a month's budget is used up. `forecast` and `through` are null while too few days, or none, count."""
    return {
        "account": status.budget.account,
        "month": f"{status.month:%Y-%m}",
        "currency": status.budget.currency,
        "budget": amount(status.budget.amount),
        "spent": amount(status.spent),
        "percent": float(status.percent),
        "reached": list(status.reached),
        "forecast": None if status.forecast is None else amount(status.forecast),
        "through": None if status.through is None else status.through.isoformat(),
        "days": len(status.days),
        "estimatedDays": status.estimated,
        "otherCurrencies": list(status.others),
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: object) -> object:
    if isinstance(value, Decimal):
        return amount(value)
    return value.isoformat() if isinstance(value, date) else value
