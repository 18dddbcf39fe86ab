"""The fault matrix: python -m tests.chaos [--fault NAME]... [--list] [--docs] [--short] [--database sqlite]

Exit code 1 when any row misses a threshold.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

from rich.console import Console

from tests.chaos.fault import Fault
from tests.chaos.faults import every_fault
from tests.chaos.report import failures, table, verdict, write_page
from tests.chaos.run import Matrix
from tests.chaos.verdict import Row
from tests.support.database import DIALECTS
from tests.support.postgres import PostgresServer, postgres_folder, start_postgres

# A table that goes into a file is not broken for a screen.
PAPER_COLUMNS = 220


def main() -> int:
    arguments = _parser().parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = PAPER_COLUMNS
    chosen = _chosen(arguments)
    if arguments.list:
        for fault in chosen:
            console.print(f"{fault.name:24} {fault.what}", highlight=False)
        return 0
    if arguments.unmeasured:
        write_page(every_fault(), [])
        return 0
    rows = _run(chosen, arguments, console)
    console.print(table(rows))
    for row in rows:
        for line in failures(row):
            console.print(line, style="red", highlight=False)
    return 0 if all(row.ok for row in rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="this one (may be repeated)")
    parser.add_argument("--short", action="store_true", help="the few that the tests run")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    parser.add_argument("--docs", action="store_true", help="write what was seen into docs/resilience.md")
    parser.add_argument("--unmeasured", action="store_true", help="plant nothing, only list in the page what there is")
    parser.add_argument("--database", choices=DIALECTS, default="postgresql")
    return parser


def _chosen(arguments: argparse.Namespace) -> list[Fault]:
    faults = [fault for fault in every_fault() if fault.short or not arguments.short]
    unknown = set(arguments.fault) - {fault.name for fault in faults}
    if unknown:
        sys.exit(f"there is no fault {', '.join(sorted(unknown))}; --list names them")
    return [fault for fault in faults if not arguments.fault or fault.name in arguments.fault]


def _run(faults: Sequence[Fault], arguments: argparse.Namespace, console: Console) -> list[Row]:
    rows: list[Row] = []
    began_s = time.monotonic()
    with _database(arguments.database) as server, console.status("starting") as status:

        def say(line: str) -> None:
            status.update(line)
            if not console.is_terminal:
                console.print(f"{time.monotonic() - began_s:6.1f} s  {line}", highlight=False)

        for number, row in enumerate(Matrix(server, say).run(faults), 1):
            rows.append(row)
            console.print(f"{time.monotonic() - began_s:6.1f} s  {number}/{len(faults)} {row.name}: {verdict(row)}")
            for line in failures(row):
                console.print(f"          {line}", highlight=False)
            if arguments.docs:
                write_page(every_fault(), [row])
    return rows


@contextlib.contextmanager
def _database(dialect: str) -> Iterator[PostgresServer | None]:
    if dialect != "postgresql":
        yield None
        return
    if postgres_folder() is None:
        sys.exit("no PostgreSQL on this machine: --database sqlite does without")
    with contextlib.closing(start_postgres()) as server:
        yield server


if __name__ == "__main__":
    sys.exit(main())
