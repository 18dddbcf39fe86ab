"""GetCostAndUsage: what AWS checks, what it answers, page by page."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from tests.fakes.cost_explorer.book import Book, Charge, digest
from tests.fakes.cost_explorer.errors import AwsError

METRICS = ("AmortizedCost", "UnblendedCost")
OTHER_METRICS = ("BlendedCost", "NetAmortizedCost", "NetUnblendedCost", "NormalizedUsageAmount", "UsageQuantity")
DIMENSIONS = ("LINKED_ACCOUNT", "SERVICE")
MONTHS_KEPT = 14
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Question:
    """A request that AWS would answer."""

    start: date
    end: date
    metrics: Sequence[str]
    groups: Sequence[str]
    offset: int
    parameters: str

    def days(self) -> list[date]:
        """Without the end."""
        return [self.start + timedelta(days=number) for number in range((self.end - self.start).days)]


def checked(body: Mapping[str, Any], today: date) -> Question:
    """The question in `body`. Raises AwsError as AWS would."""
    period = body.get("TimePeriod") or {}
    start, end = _date(period.get("Start"), "Start"), _date(period.get("End"), "End")
    if start >= end:
        raise _invalid("Start date (and hour) should be before end date (and hour)")
    if start > today:
        raise _invalid("Start date should be no later than the current date")
    if end > _month(today, 1):
        raise _invalid("end date past the beginning of next month")
    if start < _month(today, -MONTHS_KEPT):
        raise _invalid("Data beyond the past 14 months is not kept by the day")
    if body.get("Granularity") not in {"DAILY", "MONTHLY", "HOURLY"}:
        raise _invalid("Granularity must be one of DAILY, MONTHLY, HOURLY")
    if body["Granularity"] != "DAILY":
        raise _invalid("This fake computes DAILY only")
    if body.get("Filter"):
        raise _invalid("This fake computes no filters")
    parameters = digest(json.dumps({name: body[name] for name in sorted(body) if name != "NextPageToken"}))
    offset = _offset(body.get("NextPageToken"), parameters)
    return Question(start, end, _metrics(body), _groups(body), offset, parameters)


@dataclass(frozen=True)
class Answering:
    """How it is answered: pages of `page_groups` groups, the newest days estimated."""

    book: Book
    page_groups: int
    estimated_days: int
    today: date

    def page(self, account: str, question: Question) -> tuple[dict[str, Any], int]:
        """The page at the question's offset, and how many groups it holds.

        A day whose groups do not fit stands on two pages, with its own part on each.
        """
        if not question.groups:
            return {"ResultsByTime": [self._total(account, day, question) for day in question.days()]}, 0
        results: list[dict[str, Any]] = []
        passed = held = 0
        left = False
        for day in question.days():
            grouped = _grouped(self.book.charges(account, day), question.groups)
            skipped = max(0, question.offset - passed)
            room = self.page_groups - held
            part = grouped[skipped : skipped + room]
            passed += len(grouped)
            held += len(part)
            if part or (not grouped and not left and passed >= question.offset):
                results.append(self._grouped_result(day, part, question))
            left = left or passed > question.offset + held
        answer: dict[str, Any] = {
            "GroupDefinitions": [{"Type": "DIMENSION", "Key": key} for key in question.groups],
            "ResultsByTime": results,
            "DimensionValueAttributes": [],
        }
        if left:
            answer["NextPageToken"] = token(question.parameters, question.offset + held)
        return answer, held

    def _total(self, account: str, day: date, question: Question) -> dict[str, Any]:
        charges = self.book.charges(account, day)
        currency = charges[0].currency if charges else self.book.currency
        return self._result(day) | {"Total": _amounts(charges, question.metrics, currency), "Groups": []}

    def _grouped_result(
        self, day: date, part: Sequence[tuple[tuple[str, ...], list[Charge]]], question: Question
    ) -> dict[str, Any]:
        groups = [
            {"Keys": list(keys), "Metrics": _amounts(charges, question.metrics, charges[0].currency)}
            for keys, charges in part
        ]
        return self._result(day) | {"Total": {}, "Groups": groups}

    def _result(self, day: date) -> dict[str, Any]:
        return {
            "TimePeriod": {"Start": str(day), "End": str(day + ONE_DAY)},
            "Estimated": day > self.today - timedelta(days=self.estimated_days + 1),
        }


def token(parameters: str, offset: int) -> str:
    """Opaque to whoever asks."""
    return base64.urlsafe_b64encode(json.dumps([parameters, offset]).encode()).decode()


def _grouped(charges: Sequence[Charge], keys: Sequence[str]) -> list[tuple[tuple[str, ...], list[Charge]]]:
    found: dict[tuple[str, ...], list[Charge]] = {}
    for charge in charges:
        values = {"LINKED_ACCOUNT": charge.member, "SERVICE": charge.service}
        found.setdefault(tuple(values[key] for key in keys), []).append(charge)
    return list(found.items())


def _amounts(charges: Sequence[Charge], metrics: Sequence[str], currency: str) -> dict[str, Any]:
    sums = {
        "UnblendedCost": sum((charge.unblended for charge in charges), Decimal(0)),
        "AmortizedCost": sum((charge.amortized for charge in charges), Decimal(0)),
    }
    return {metric: {"Amount": str(sums[metric]), "Unit": currency} for metric in metrics}


def _metrics(body: Mapping[str, Any]) -> list[str]:
    metrics = body.get("Metrics")
    if not metrics:
        raise _invalid("Metrics is required for GetCostAndUsage")
    for metric in metrics:
        if metric in OTHER_METRICS:
            raise _invalid(f"This fake does not compute {metric}")
        if metric not in METRICS:
            raise _invalid(f"{metric} is an invalid metric")
    return list(metrics)


def _groups(body: Mapping[str, Any]) -> list[str]:
    groups = body.get("GroupBy") or []
    if len(groups) > 2:
        raise _invalid("At most 2 groups are allowed")
    for group in groups:
        if group.get("Type") != "DIMENSION" or group.get("Key") not in DIMENSIONS:
            raise _invalid(f"This fake does not group by {group}")
    return [group["Key"] for group in groups]


def _offset(given: str | None, parameters: str) -> int:
    if given is None:
        return 0
    try:
        asked, offset = json.loads(base64.urlsafe_b64decode(given))
    except ValueError:
        raise AwsError("InvalidNextTokenException", "The pagination token is invalid") from None
    if asked != parameters:
        raise AwsError("RequestChangedException", "The request parameters changed between pages")
    return int(offset)


def _date(text: object, name: str) -> date:
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise _invalid(f"{name} time {text} is invalid. Valid format is: yyyy-MM-dd") from None


def _month(today: date, months: int) -> date:
    number = today.year * 12 + today.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)
