"""What Azure would refuse about a query, and what is left of it once it is understood."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

TYPES = ("ActualCost", "AmortizedCost", "Usage")
VERSIONS = ("2023-11-01", "2024-08-01", "2025-03-01")
DIMENSIONS = ("ServiceName", "ChargeType", "SubscriptionId", "ResourceGroup", "ResourceGroupName")
COLUMNS = ("Cost", "PreTaxCost", "CostUSD")
MOST_DAYS = 31


class RefusedError(Exception):
    """A 400, with Azure's code."""

    def __init__(self, message: str, code: str = "BadRequest") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Query:
    """A query that Azure answers."""

    type: str
    start: date
    end: date
    aggregation: tuple[str, ...]
    grouping: tuple[str, ...]


def query_of(body: Any, parameters: Mapping[str, list[str]]) -> Query:
    """Raises RefusedError."""
    versions = parameters.get("api-version") or []
    if not versions:
        raise RefusedError("The api-version query parameter (?api-version=) is required", "MissingApiVersionParameter")
    if versions[0] not in VERSIONS:
        raise RefusedError(f"The api-version '{versions[0]}' is invalid", "InvalidApiVersionParameter")
    if not isinstance(body, dict):
        raise RefusedError("Invalid query definition: no JSON object")
    if body.get("type") not in TYPES:
        raise RefusedError(f"Invalid query definition: type {body.get('type')!r}, allowed: {', '.join(TYPES)}")
    if body.get("timeframe") != "Custom":
        raise RefusedError("Invalid query definition: this fake knows timeframe Custom alone")
    start, end = _period(body.get("timePeriod"))
    aggregation, grouping = _dataset(body.get("dataset"))
    return Query(body["type"], start, end, aggregation, grouping)


def _period(given: Any) -> tuple[date, date]:
    try:
        start, end = (datetime.fromisoformat(given[name]) for name in ("from", "to"))
    except (TypeError, KeyError, ValueError):
        raise RefusedError("Invalid query definition: timePeriod needs from and to") from None
    if end < start:
        raise RefusedError("Invalid query definition: timePeriod ends before it starts")
    if (end.date() - start.date()).days + 1 > MOST_DAYS:
        raise RefusedError(f"Invalid query definition: with Daily granularity at most {MOST_DAYS} days")
    return start.date(), end.date()


def _dataset(given: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(given, dict) or given.get("granularity") != "Daily":
        raise RefusedError("Invalid query definition: this fake knows granularity Daily alone")
    aggregation = given.get("aggregation") or {}
    if not 1 <= len(aggregation) <= 2:
        raise RefusedError("Invalid query definition: between 1 and 2 aggregations are allowed")
    for clause in aggregation.values():
        if clause.get("function") != "Sum" or clause.get("name") not in COLUMNS:
            raise RefusedError(f"Invalid query definition: aggregation {clause}")
    grouping = given.get("grouping") or []
    if len(grouping) > 2:
        raise RefusedError("Invalid query definition: at most 2 groupings are allowed")
    for clause in grouping:
        if clause.get("type") != "Dimension" or clause.get("name") not in DIMENSIONS:
            raise RefusedError(f"Invalid query definition: grouping {clause}")
    return tuple(clause["name"] for clause in aggregation.values()), tuple(clause["name"] for clause in grouping)
