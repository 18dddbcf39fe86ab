"""`holdfast budgets`: how far each month's budget is used up, with a bar."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from rich.text import Text

from holdfast_cli.costs import bar, money
from holdfast_cli.output import print_json, print_table, stderr, stdout, unicode_safe
from shared.bootstrap.command import Ledger
from shared.core.budgets import BudgetStatus
from shared.ledger.accounts import require_account
from shared.ledger.budgets import month_to_date
from shared.ledger.documents import budget_document

COLUMNS: Final = ("account", "month", "spent>", "budget>", "used>", "", "forecast>", "through")
FULL: Final = Decimal(100)
STYLES: Final = {0: "green", 1: "yellow", 2: "red"}


def show_budgets(ledger: Ledger, *, account: str | None, as_json: bool) -> None:
    """Print the budgets of the accounts file against the month to date."""
    if account is not None:
        require_account(ledger.db, account)
    budgets = [budget for budget in ledger.budgets() if account in {None, budget.account}]
    found = sorted(month_to_date(ledger.db, budgets), key=lambda status: status.budget.account)
    if as_json:
        print_json({"budgets": [budget_document(status) for status in found]})
        return
    if not found:
        stderr().print("No budgets. An account gets one by monthly_budget and budget_currency in the accounts file.")
        return
    console = stdout()
    print_table(console, columns=COLUMNS, rows=table_rows(found, blocks=unicode_safe(console)))
    for status in found:
        if status.others:
            others = ", ".join(status.others)
            stderr().print(f"{status.budget.account} also has costs in {others}: not counted.", markup=False)


def table_rows(found: Sequence[BudgetStatus], *, blocks: bool) -> list[tuple[str | Text, ...]]:
    """A row for each. A full bar is a budget that is used up."""
    rows: list[tuple[str | Text, ...]] = []
    for status in found:
        used = bar(max(Decimal(0), min(status.percent, FULL)), FULL, blocks=blocks)
        used.stylize(STYLES[len(status.reached)])
        currency = status.budget.currency
        rows.append(
            (
                status.budget.account,
                f"{status.month:%Y-%m}",
                f"{money(status.spent)} {currency}",
                f"{money(status.budget.amount)} {currency}",
                f"{status.percent}%",
                used,
                "" if status.forecast is None else money(status.forecast),
                _through(status),
            )
        )
    return rows


def _through(status: BudgetStatus) -> str:
    if status.through is None:
        return "no day yet"
    estimated = f", {status.estimated} estimated" if status.estimated else ""
    return f"{status.through} ({len(status.days)} days{estimated})"
