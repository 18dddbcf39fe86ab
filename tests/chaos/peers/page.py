"""What was seen of each queue, as cells, on a terminal and between two markers of docs/resilience.md."""

from collections.abc import Sequence

from tests.chaos.peers.faults import PeerFault
from tests.chaos.peers.jobs import PEERS
from tests.chaos.peers.trial import Outcome
from tests.chaos.report import PAGE
from tests.chaos.verdict import Row

BEGIN, END = "<!-- peers begin: written by python -m tests.chaos.peers --docs -->", "<!-- peers end -->"
HEAD = ("not done", "done twice", "well again after", "log lines a minute", "worker")
Cells = tuple[str, ...]


def cells_of(outcome: Outcome) -> Cells:
    """What was seen of another queue."""
    return (
        f"{outcome.undone} of {outcome.promised}",
        str(outcome.doubled),
        "never" if outcome.healed_s is None else f"{outcome.healed_s:.1f} s",
        f"{outcome.lines_a_minute:.0f}",
        "lives" if outcome.exit_code is None else f"ended with {outcome.exit_code}",
    )


def ours(row: Row) -> Cells:
    """What the matrix saw of Holdfast: its row tells more."""
    if row.failed or row.skipped:
        return (row.skipped or "not measured", *("" for _ in HEAD[1:]))
    ledger = row.cells["ledger"].shown
    lost, _, rest = ledger.partition(" lost, ")
    doubled, promised = rest.partition(" doubled")[0], ledger.rpartition(" of ")[2]
    lives = "lives" if row.cells["up"].ok else row.cells["up"].shown
    return f"{lost} of {promised}", doubled, row.cells["healed"].shown, row.cells["log lines"].shown, lives


def write_page(faults: Sequence[PeerFault], rows: Sequence[Sequence[Cells]]) -> None:
    """Put the table between the markers of the page."""
    lines = [f"| fault | queue | {' | '.join(HEAD)} |", "|---" * (len(HEAD) + 2) + "|"]
    for fault, row in zip(faults, rows, strict=True):
        names = [*(peer.requirement for peer in PEERS), "Holdfast"]
        lines += [f"| {fault.name} | {name} | {' | '.join(cells)} |" for name, cells in zip(names, row, strict=True)]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}")
