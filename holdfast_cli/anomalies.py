"""`holdfast anomalies`: what was not to be expected, with a bar for what was and what came."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from holdfast_cli.costs import bar, money
from holdfast_cli.output import print_json, print_table, stderr, stdout, unicode_safe
from shared.bootstrap.command import Ledger
from shared.core.anomalies import AnomalyKind
from shared.ledger.anomaly_queries import AnomalyQuery, KnownAnomaly, find_anomalies
from shared.ledger.documents import anomalies_document

STYLE_OF: Final = {
    AnomalyKind.SPIKE: "red",
    AnomalyKind.NEW: "red",
    AnomalyKind.DROP: "yellow",
    AnomalyKind.VANISHED: "yellow",
}
COLUMNS: Final = ("day", "account", "service", "kind", "expected>", "actual>", "", "")


def show_anomalies(ledger: Ledger, wanted: AnomalyQuery, *, as_json: bool) -> None:
    """Print one page of anomalies, the newest day first."""
    page = find_anomalies(ledger.db, wanted)
    if as_json:
        print_json(anomalies_document(page))
        return
    if not page.anomalies:
        stderr().print(
            f"No anomalies from {wanted.days.start} to {wanted.days.end}. The scheduler looks a minute after a store, "
            "at services with three weeks of complete days."
        )
        return
    console = stdout()
    print_table(console, columns=COLUMNS, rows=table_rows(page.anomalies, blocks=unicode_safe(console)))
    if page.next:
        stderr().print(f"More: holdfast anomalies --cursor {page.next}", markup=False)


def table_rows(anomalies: Sequence[KnownAnomaly], *, blocks: bool) -> list[tuple[str | Text, ...]]:
    """A row for each. The bar shows what came, beside what was expected, each on a scale of its own."""
    return [
        (
            str(one.day),
            one.account,
            one.service or "(none)",
            Text(one.kind.value, style="dim" if one.cleared_at else STYLE_OF[one.kind]),
            money(one.expected),
            f"{money(one.actual)} {one.currency}",
            bar(one.actual, max(abs(one.actual), abs(one.expected)), blocks=blocks),
            "cleared: restated" if one.cleared_at else "",
        )
        for one in anomalies
    ]
