"""Plain Dramatiq, Celery and RQ beside Holdfast: python -m tests.chaos.peers [--fault WORD] [--docs] [--binaries DIR].

They are installed into a virtual environment that is thrown away. Nothing is judged: it is a comparison.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import every_fault
from tests.chaos.peers.faults import FAULTS, PeerFault
from tests.chaos.peers.jobs import PEERS, Peer
from tests.chaos.peers.page import HEAD, Cells, cells_of, ours, write_page
from tests.chaos.peers.trial import Trial
from tests.chaos.run import Matrix
from tests.support.postgres import start_postgres

PAPER_COLUMNS = 160
Say = Callable[[str], object]


def main() -> int:
    arguments = _parser().parse_args()
    console = Console()
    if not console.is_terminal:
        console.width = PAPER_COLUMNS
    faults = [fault for fault in FAULTS if arguments.fault in fault.name]
    began_s = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began_s:6.1f} s  {line}", highlight=False)

    with _binaries(arguments.binaries, say) as binaries:
        found = [_side_by_side(fault, binaries, say) for fault in faults]
    rows = [[*theirs, *mine] for theirs, mine in zip(found, _ours(faults, say), strict=True)]
    console.print(_table(faults, rows))
    if arguments.docs:
        write_page(faults, rows)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.peers", description=__doc__)
    parser.add_argument("--fault", default="", metavar="WORD", help="those whose name holds this word")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/resilience.md")
    parser.add_argument("--binaries", type=Path, help="where they are installed already (a virtual environment's bin)")
    return parser


@contextlib.contextmanager
def _binaries(given: Path | None, say: Say) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-peers-") as folder:
        say(f"installing {', '.join(peer.requirement for peer in PEERS)}")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *(peer.requirement for peer in PEERS)], check=True)
        yield Path(folder) / "bin"


def _side_by_side(fault: PeerFault, binaries: Path, say: Say) -> list[Cells]:
    """Each queue on a Redis of its own, at the same time."""
    found: dict[str, Cells] = {}

    def run(peer: Peer) -> None:
        with tempfile.TemporaryDirectory(prefix="holdfast-peer-") as folder:
            try:
                found[peer.name] = cells_of(Trial(peer, binaries, Path(folder)).run(fault))
            except AssertionError as error:
                found[peer.name] = (f"not measured: {error}",) + ("",) * (len(HEAD) - 1)

    say(f"{fault.name}: {', '.join(peer.name for peer in PEERS)}")
    threads = [threading.Thread(target=run, args=(peer,)) for peer in PEERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[peer.name] for peer in PEERS]


def _ours(faults: Sequence[PeerFault], say: Say) -> list[list[Cells]]:
    """What the matrix says of the same faults."""
    rows = {fault.name: fault for fault in every_fault()}
    with contextlib.closing(start_postgres()) as server:
        return [[ours(row)] for row in Matrix(server, say).run([rows[fault.ours] for fault in faults])]


def _table(faults: Sequence[PeerFault], rows: Sequence[Sequence[Cells]]) -> Table:
    made = Table(title="The same faults", show_lines=True)
    for column in ("fault", "queue", *HEAD):
        made.add_column(column)
    for fault, row in zip(faults, rows, strict=True):
        for name, cells in zip([*(peer.name for peer in PEERS), "Holdfast"], row, strict=True):
            made.add_row(fault.name, name, *cells)
    return made


if __name__ == "__main__":
    sys.exit(main())
