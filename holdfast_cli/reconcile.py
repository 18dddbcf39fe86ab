"""The command reconcile: a month as stored, beside what the provider says day by day, and beside the invoice."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import typer
from rich.text import Text

from holdfast_cli.confirm import confirm, price_text
from holdfast_cli.output import print_json, print_table, stderr, stdout
from holdfast_cli.runs import days_text
from shared.bootstrap.accounts import accounts_file
from shared.bootstrap.backfill import price_document, price_of
from shared.bootstrap.command import Ledger
from shared.core.costs import CoverageState, Metric, Price
from shared.core.days import DayRange, last_complete_day
from shared.core.errors import RequestError, UnknownAccountError
from shared.core.reconcile import DayFinding, Figures, Reconciliation, provider_sums, reconcile
from shared.costs.accounts import AccountConfig
from shared.costs.provider import provider_for
from shared.ledger.cost_queries import CostQuery, costs
from shared.ledger.documents import amount
from shared.ledger.queries import coverage

DIFFERENT: Final = 3
COLUMNS: Final = ("day", "state", "currency", "stored>", "provider>", "stored more>")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which month of which account, and what to hold it against. `invoice` is the total, `currency` None the only."""

    account: str
    days: DayRange
    metric: Metric
    invoice: Decimal | None
    currency: str | None


def reconcile_month(ledger: Ledger, wanted: Wanted, *, yes: bool, as_json: bool) -> None:
    """Compare and tell. Exits with 3 when they differ. Raises ProviderError, RequestError, UnknownAccountError."""
    ledger.sync_accounts()
    account = _configured(ledger, wanted.account)
    # A day's sum is one row.
    price = price_of(account, wanted.days, 1)
    if not as_json:
        stderr().print(f"{wanted.account}, {days_text(wanted.days)}: {price_text(price)}.", markup=False)
    confirm(price, yes=yes)
    provided = provider_sums(provider_for(account).day_totals(wanted.days), wanted.metric)
    query = CostQuery(wanted.days, group_by=("day",), metric=wanted.metric, account=wanted.account)
    stored: dict[tuple[date, str], Decimal] = {
        (row["day"], row["currency"]): row["amount"]  # type: ignore[misc] # of these types in a report by day
        for row in costs(ledger.db, query).rows
    }
    (known,) = coverage(ledger.db, days=wanted.days, account=wanted.account)
    states: dict[date, CoverageState] = {day.day: day.state for day in known.days}
    found = reconcile(states, stored, provided, invoice=_invoice(wanted, {*stored, *provided}))
    if as_json:
        print_json(document(found, wanted, price))
    else:
        _tell(found, wanted)
    if not found.equal:
        raise typer.Exit(DIFFERENT)


def month_of(text: str, *, now: datetime) -> DayRange:
    """The days of a month written YYYY-MM, as far as they have ended. Raises RequestError."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise RequestError(field="--month", problem=f"'{text}' is no month", allowed="write it as in 2026-01") from None
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    newest = last_complete_day(now)
    if first > newest:
        raise RequestError(
            field="--month", problem=f"no day of {text} has ended", allowed=f"the newest that has is {newest} (UTC)"
        )
    return DayRange(first, min(last, newest))


def total_of(text: str) -> Decimal:
    """An invoice's total, exactly as typed. Raises RequestError."""
    try:
        total = Decimal(text)
    except InvalidOperation:
        total = Decimal("NaN")
    if not total.is_finite():
        raise RequestError(
            field="--invoice-total", problem=f"'{text}' is no amount", allowed="digits and a point, such as 1234.56"
        )
    return total


def document(found: Reconciliation, wanted: Wanted, price: Price) -> dict[str, Any]:
    """What was found, as JSON."""
    invoice = None if found.invoice is None else _figures(found.invoice)
    return {
        "account": wanted.account,
        "start": wanted.days.start.isoformat(),
        "end": wanted.days.end.isoformat(),
        "metric": wanted.metric.value,
        "equal": found.equal,
        "days": [_day(day) for day in found.findings],
        "totals": [{"currency": currency, **_figures(figures)} for currency, figures in found.totals.items()],
        "invoice": invoice,
        "collect": [{"start": days.start.isoformat(), "end": days.end.isoformat()} for days in found.to_collect],
        "price": price_document(price),
    }


def _configured(ledger: Ledger, name: str) -> AccountConfig:
    for account in accounts_file(ledger.settings).load():
        if account.name == name:
            return account
    raise UnknownAccountError(account=name)


def _invoice(wanted: Wanted, keys: set[tuple[date, str]]) -> tuple[str, Decimal] | None:
    if wanted.invoice is None:
        return None
    found = sorted({currency for _, currency in keys})
    if wanted.currency is None and len(found) != 1:
        raise RequestError(
            field="--currency",
            problem="is missing: it is not clear what the invoice is in",
            allowed=", ".join(found) or "its currency, such as USD",
        )
    return wanted.currency or found[0], wanted.invoice


def _tell(found: Reconciliation, wanted: Wanted) -> None:
    if found.findings:
        print_table(stdout(), columns=COLUMNS, rows=[_row(day) for day in found.findings])
    for currency, figures in found.totals.items():
        _print_figures(f"{currency}, {wanted.metric}: provider", figures)
    if found.invoice is not None:
        _print_figures("invoice", found.invoice)
    console = stdout()
    if found.equal:
        console.print("Equal, to within 0.01 a day.")
        return
    for days in found.to_collect:
        # A name may hold what a shell would act on.
        name = "'" + wanted.account.replace("'", "'\\''") + "'"
        command = f"holdfast collect --account {name} --start {days.start} --end {days.end}"
        console.print(f"Not equal. Collect again: {command}", markup=False)
    if not found.to_collect:
        console.print("Not equal: what is stored is what the provider says, the invoice says otherwise.")


def _print_figures(name: str, figures: Figures) -> None:
    theirs = amount(figures.theirs or Decimal(0))
    difference = "equal" if not figures.difference else f"{amount(figures.difference)} more is stored"
    stdout().print(f"{name} {theirs}, stored {amount(figures.stored)}: {difference}", markup=False)


def _row(day: DayFinding) -> Sequence[str | Text]:
    figures = day.figures
    difference = Text(amount(figures.difference), style="red" if day.differs else "")
    theirs = amount(figures.theirs or Decimal(0))
    return (str(day.day), day.state.value, day.currency, amount(figures.stored), theirs, difference)


def _day(day: DayFinding) -> dict[str, Any]:
    facts = {"day": day.day.isoformat(), "state": day.state.value, "currency": day.currency or None}
    return {**facts, **_figures(day.figures), "differs": day.differs}


def _figures(figures: Figures) -> dict[str, Any]:
    theirs = None if figures.theirs is None else amount(figures.theirs)
    return {"stored": amount(figures.stored), "theirs": theirs, "difference": amount(figures.difference)}
