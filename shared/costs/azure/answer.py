"""Reading a page of Azure's answer: columns by name, exact amounts, days, and where the next page is."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, NamedTuple, NoReturn

from shared.core.costs import DIGITS_AFTER_POINT, DIGITS_BEFORE_POINT, EXACT
from shared.core.days import DayRange
from shared.costs.azure.errors import shortened, trouble
from shared.costs.azure.query import COST

USAGE_DATE: Final = "UsageDate"
CURRENCY: Final = "Currency"
# How Azure calls the sum of costs, by what was asked and by how old the contract is.
COST_NAMES: Final = (COST, "PreTaxCost")

_PLACES: Final = Decimal(1).scaleb(-DIGITS_AFTER_POINT)
_ROUNDING: Final = Context(prec=DIGITS_BEFORE_POINT + DIGITS_AFTER_POINT + 1, rounding=ROUND_HALF_EVEN)


class Group(NamedTuple):
    """What an amount belongs to: the day, the currency, and the values of the dimensions that were grouped by."""

    day: date
    currency: str
    values: tuple[str, ...]


Sums = dict[Group, Decimal]


@dataclass(frozen=True, slots=True)
class Page:
    """One page: what each group cost, and the address of the next page, None after the last one."""

    sums: Mapping[Group, Decimal]
    next_link: str | None


def document(raw: bytes) -> dict[str, Any]:
    """The JSON object that `raw` is, numbers with a point as Decimal. Raises ProviderError."""
    try:
        found = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)
    except RecursionError:
        raise trouble("AZURE_BAD_ANSWER", "JSON nested without end") from None
    except (ValueError, ArithmeticError):  # the latter for exponents beyond all measure
        raise trouble("AZURE_BAD_ANSWER", f"no JSON, it begins with {_beginning(raw)}") from None
    if not isinstance(found, dict):
        raise trouble("AZURE_BAD_ANSWER", "JSON, but no object")
    return found


def page(raw: bytes, days: DayRange, grouping: Sequence[str]) -> Page:
    """The page that `raw` is, of a query for `days` grouped by `grouping`. Raises ProviderError."""
    properties = document(raw).get("properties")
    if not isinstance(properties, dict):
        raise trouble("AZURE_BAD_ANSWER", "it has no properties")
    rows, next_link = properties.get("rows"), properties.get("nextLink")
    if not isinstance(rows, list) or not isinstance(next_link, str | None):
        raise trouble("AZURE_BAD_ANSWER", "its rows or its nextLink are missing or of a senseless type")
    reader = _Reader.of(properties.get("columns"), grouping)
    sums: Sums = {}
    for number, row in enumerate(rows, start=1):
        try:
            group, amount = reader.read(row)
        except ValueError as error:
            raise trouble("AZURE_BAD_ROW", f"row {number}: {error}") from None
        if group.day not in days:
            raise trouble("AZURE_BAD_ROW", f"row {number}: {group.day} is not in {days.start} to {days.end}")
        add(sums, group, amount)
    return Page(sums, next_link or None)


def add(sums: Sums, group: Group, amount: Decimal) -> None:
    """Add `amount` to the group's sum, exactly."""
    sums[group] = EXACT.add(sums.get(group, Decimal(0)), amount)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Where each column stands in a row."""

    cost: int
    day: int
    currency: int
    values: tuple[int, ...]
    columns: int

    @classmethod
    def of(cls, columns: object, grouping: Sequence[str]) -> "_Reader":
        places = _places(columns)

        def place(*names: str) -> int:
            found = next((places[name.lower()] for name in names if name.lower() in places), None)
            if found is None:
                raise trouble("AZURE_BAD_COLUMNS", f"no {names[0]}, but {shortened(', '.join(places)) or 'none'}")
            return found

        values = tuple(place(name) for name in grouping)
        return cls(place(*COST_NAMES), place(USAGE_DATE), place(CURRENCY), values, len(places))

    def read(self, row: object) -> tuple[Group, Decimal]:
        """Raises ValueError that says what is wrong with the row."""
        if not isinstance(row, list) or len(row) != self.columns:
            raise ValueError(f"it does not have {self.columns} values")
        values = tuple(_text(row[place]) for place in self.values)
        return Group(_day(row[self.day]), _currency(row[self.currency]), values), amount(row[self.cost])


def _places(columns: object) -> dict[str, int]:
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
        raise trouble("AZURE_BAD_ANSWER", "its columns are missing or of a senseless type")
    names = [str(column.get("name")).lower() for column in columns]
    if len(set(names)) < len(names):
        raise trouble("AZURE_BAD_COLUMNS", f"a name twice among {shortened(', '.join(names))}")
    return {name: place for place, name in enumerate(names)}


def amount(given: object) -> Decimal:
    """A JSON number as an exact amount. Raises ValueError.

    Azure's numbers are doubles that somebody wrote down: of their digits, what is beyond the last place that is kept
    is rounded, a half to the even digit.
    """
    if isinstance(given, bool) or not isinstance(given, int | Decimal):
        raise ValueError(f"the cost {_shown(given)} is not a number")  # noqa: TRY004 - it is the value that is wrong
    exact = Decimal(given)
    if exact and exact.adjusted() >= DIGITS_BEFORE_POINT:
        raise ValueError(f"the cost {exact:.3E} has more than {DIGITS_BEFORE_POINT} digits before the point")
    exponent = exact.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -DIGITS_AFTER_POINT:
        exact = exact.quantize(_PLACES, context=_ROUNDING)
    return exact or Decimal(0)


def _day(given: object) -> date:
    if not isinstance(given, bool) and isinstance(given, int | Decimal) and given == (number := _whole(given)):
        text = str(number)
        if re.fullmatch("[0-9]{8}", text):
            return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    raise ValueError(f"the {USAGE_DATE} {_shown(given)} is not a day such as 20260131")


def _whole(given: int | Decimal) -> int:
    # An exponent may be anything, and its number longer than memory.
    return int(given) if isinstance(given, int) or abs(given.adjusted()) < DIGITS_BEFORE_POINT else -1


def _currency(given: object) -> str:
    if isinstance(given, str) and re.fullmatch("[A-Z]{3}", given):
        return given
    raise ValueError(f"the currency {_shown(given)} is not three capital letters, such as EUR")


def _text(given: object) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or "\0" in given:
        raise ValueError(f"{_shown(given)} is not a text that can be stored")
    return given


def _shown(given: object) -> str:
    return shortened(repr(given)[:1000])


def _beginning(raw: bytes) -> str:
    return repr(shortened(raw[:40].decode(errors="replace"))) if raw.strip() else "nothing"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
