"""The matrix as people read it: on a terminal, and between the two markers of docs/resilience.md."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from tests.chaos.fault import Fault
from tests.chaos.verdict import COLUMNS, Cell, Row

PAGE = Path(__file__).resolve().parents[2] / "docs/resilience.md"
BEGIN, END = "<!-- matrix begins: written by python -m tests.chaos --docs -->", "<!-- matrix ends -->"
SEEN = "### What was seen"
HEAD = (f"| fault | {' | '.join(COLUMNS)} | verdict |", "|---" * (len(COLUMNS) + 2) + "|")


def table(rows: Sequence[Row]) -> Table:
    """For the terminal."""
    made = Table(title="Faults", show_lines=True)
    made.add_column("fault")
    for column in COLUMNS:
        made.add_column(column)
    made.add_column("verdict")
    for row in rows:
        if not row.cells:
            made.add_row(row.name, *[""] * len(COLUMNS), _verdict(row))
            continue
        made.add_row(row.name, *(_text(row.cells[column]) for column in COLUMNS), _verdict(row))
    return made


def failures(row: Row, *, timing: bool = True) -> list[str]:
    """What does not hold, in words; without `timing` only what does not depend on how fast the machine is."""
    if row.failed:
        return [f"{row.name}: {row.failed}"]
    return [
        f"{row.name}: {column}: {cell.shown}" + (f" (limit {cell.limit})" if cell.limit else "")
        for column, cell in row.cells.items()
        if not cell.ok and (timing or not cell.timing)
    ]


def write_page(faults: Sequence[Fault], rows: Sequence[Row]) -> None:
    """Write every fault and what was seen of it between the markers of the page; what is not in `rows` stays."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    known, _, after = rest.partition(END)
    lines = {line.split("`")[1]: line for line in known.partition(SEEN)[2].splitlines() if line.startswith("| `")}
    lines |= {row.name: markdown(row) for row in rows}
    seen = [lines.get(fault.name, f"| `{fault.name}` |{' |' * len(COLUMNS)} not measured |") for fault in faults]
    text = "\n".join([fault_list(faults), "", SEEN, "", *HEAD, *seen])
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def fault_list(faults: Sequence[Fault]) -> str:
    """The faults in words."""
    lines = ["| fault | what happens | way to Redis | lasts |", "|---|---|---|---|"]
    lines += [f"| `{fault.name}` | {fault.what} | {fault.way.name} | {fault.lasts_s:g} s |" for fault in faults]
    return "\n".join(lines)


def markdown(row: Row) -> str:
    """A row of the page's table."""
    if not row.cells:
        return f"| `{row.name}` | {row.skipped} |{' |' * (len(COLUMNS) - 1)} {verdict(row)} |"
    return f"| `{row.name}` | {' | '.join(_marked(row.cells[column]) for column in COLUMNS)} | {verdict(row)} |"


def _text(cell: Cell) -> Text:
    shown = cell.shown + (f" (≤ {cell.limit})" if cell.limit and not cell.ok else "")
    return Text(shown, "" if cell.ok else "bold red")


def verdict(row: Row) -> str:
    """In one word."""
    return "skipped" if row.skipped else "pass" if row.ok else "**fail**"


def _verdict(row: Row) -> Text:
    if row.skipped:
        return Text(f"skipped: {row.skipped}", "yellow")
    return Text("pass", "green") if row.ok else Text("FAIL", "bold red")


def _marked(cell: Cell) -> str:
    shown = cell.shown.replace("|", "/")
    limit = f" ({cell.limit})" if cell.limit else ""
    return f"{shown}{limit}" if cell.ok else f"**{shown}{limit}**"
