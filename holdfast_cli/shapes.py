"""The JSON documents of `--json`: the same shapes as the API's, so that a script can move from one to the other."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.core.runs import Run


def instant(value: datetime | None) -> str | None:
    """UTC with milliseconds and a Z, as everywhere in Holdfast's JSON."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def amount(value: Decimal) -> str:
    """Plain decimal notation, every digit that counts: no exponent, no trailing zeros, no sign before zero."""
    plain = f"{value:f}"
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
    """A page of runs; `next` is the cursor of the one after, null on the last."""
    return {"runs": [run_document(run) for run in runs], "next": following}


def plain_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of costs with its days and amounts as text."""
    return {key: _plain(value) for key, value in row.items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return amount(value)
        case datetime():
            return instant(value)
        case _ if hasattr(value, "isoformat"):
            return value.isoformat()
        case _:
            return value
