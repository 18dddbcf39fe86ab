"""How runs, coverage and costs look in JSON: one shape for the API's answers and for the command's `--json`."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from shared.core.runs import Run
from shared.ledger.queries import AccountCoverage, CostReport


def instant(value: datetime | None) -> str | None:
    """UTC with milliseconds and Z."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def amount(value: Decimal) -> str:
    """Plain notation without exponent, every digit that counts: no trailing zeros, and zero has no sign."""
    # Not normalize(): it rounds to the context's 28 digits.
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


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


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: object) -> object:
    if isinstance(value, Decimal):
        return amount(value)
    return value.isoformat() if isinstance(value, date) else value
