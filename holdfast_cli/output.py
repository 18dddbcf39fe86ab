"""Where words go: colour and boxes on a terminal, plain columns in a pipe, one JSON document with --json."""

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Wide enough that nothing in a pipe is ever cut or wrapped.
PIPE_WIDTH: Final = 10_000


def stdout() -> Console:
    """The console for answers. It honours NO_COLOR and is made per command, so that redirections are seen."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


def stderr() -> Console:
    """The console for errors and for what is said on the way: it never mixes with the answer."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document on standard output, and nothing else."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def unicode_safe(console: Console) -> bool:
    """Whether bars and blocks can be written where the console writes."""
    return (console.encoding or "").lower().replace("-", "") == "utf8"


def print_table(console: Console, *, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Columns that end in `>` in their heading are aligned to the right."""
    if not console.is_terminal:
        _print_plain(console, columns=columns, rows=rows)
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.removesuffix(">"), justify="right" if column.endswith(">") else "left")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    console.print(table)


def _print_plain(console: Console, *, columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Aligned by blanks, at least two between columns: readable, and easy to cut with awk."""
    cells = [[column.removesuffix(">") for column in columns]]
    cells += [[cell.plain if isinstance(cell, Text) else cell for cell in row] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    for line in cells:
        padded = [
            cell.rjust(width) if column.endswith(">") else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        console.print(Text("  ".join(padded).rstrip()))
