"""A large FOCUS export through provider and store, beside DuckDB's bare aggregation of it; and killed in the middle.

    python -m benchmarks.focus_store [--rows 1000000] [--rounds 3] [--kills 6]

Each measurement is a process of its own (for its peak memory), the kinds taking turns. Then the same process is ended
by SIGKILL at evenly spread moments of its work: nothing of it may be in the ledger afterwards; the last repeat must
store what the file holds. Aims: at most 3 times the bare aggregation, under 600 MB.
"""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import duckdb
from sqlalchemy import func, select

from benchmarks.focus_read import BYTES_PER_MB, MONTH, bare, write_export
from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine
from shared.costs.focus.provider import FocusProvider
from shared.ledger.claims import claim_next_due, running_beats, take_back
from shared.ledger.database import Database
from shared.ledger.queries import CostQuery, costs
from shared.ledger.requests import request_runs
from shared.ledger.store import store
from shared.ledger.tables import costs as cost_table
from shared.ledger.tables import coverage
from tests.support.ledger import with_accounts
from tests.support.postgres import PostgresServer

ACCOUNT: Final = "exports"
AIM_RATIO: Final = 3.0
AIM_MB: Final = 600
Figures = dict[str, float]


def fetch_and_store(url: str, path: Path) -> Figures:
    """Claim the run that waits, fetch and store it: what a worker does."""
    with ledger(url) as db:
        claim = claim_next_due(db, holder="bench")
        assert claim is not None
        print("claimed", flush=True)
        began_s = time.perf_counter()
        fetched = FocusProvider(str(path)).fetch(MONTH)
        fetched_s = time.perf_counter() - began_s
        stored = store(db, claim, fetched)
        assert stored is not None
        return {"seconds": time.perf_counter() - began_s, "fetch_s": fetched_s, "groups": stored.rows}


def measured_here(url: str | None, path: Path) -> None:
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    if url is None:
        groups = bare(path)
        found: Figures = {"seconds": time.perf_counter() - began_s, "groups": groups}
    else:
        found = fetch_and_store(url, path)
    # Of this process alone: what PostgreSQL itself works is not in it.
    found["cpu_s"] = time.process_time() - cpu_began_s
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(found), flush=True)


def started(url: str | None, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.focus_store", "--measure", "--file", str(path)]
    command += ["--database", url] if url is not None else []
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def measure(url: str | None, path: Path) -> Figures:
    process = started(url, path)
    output, _ = process.communicate()
    assert process.returncode == 0
    found: Figures = json.loads(output.splitlines()[-1])
    return found


def killed_after(url: str, path: Path, after_s: float) -> bool:
    """Whether SIGKILL, `after_s` after the claim, came before the process had ended by itself."""
    process = started(url, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    killed = process.poll() is None
    process.kill()
    process.communicate()
    return killed


def remains(db: Database) -> tuple[int, int]:
    """Cost rows and covered days in the ledger."""
    with db.read() as connection:
        rows, days = (connection.scalar(select(func.count()).select_from(table)) for table in (cost_table, coverage))
    return int(rows or 0), int(days or 0)


def sum_of(path: Path) -> Decimal:
    """What the file holds, by DuckDB alone."""
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(
            "SELECT CAST(sum(CAST(BilledCost AS DECIMAL(38,24))) AS VARCHAR) "
            f"FROM read_csv('{path}', all_varchar = true)"
        ).fetchone()
    assert found is not None
    return Decimal(found[0])


def kill_and_repeat(db: Database, url: str, path: Path, *, kills: int, seconds: float) -> str:
    """Kill at `kills` moments spread over `seconds`; then let it end. Raises when anything of a dead one is left."""
    with_accounts(db, ACCOUNT)
    request_runs(db, accounts=[ACCOUNT], days=MONTH)
    killed = 0
    for number in range(kills):
        if not killed_after(url, path, seconds * (number + 0.5) / kills):
            break
        killed += 1
        assert remains(db) == (0, 0), f"kill {number} left {remains(db)}"
        assert all(take_back(db, seen) for seen in running_beats(db))
    if remains(db) == (0, 0):
        measure(url, path)
    (total,) = costs(db, CostQuery(MONTH)).totals
    assert total["amount"] == sum_of(path), "the repeat is not complete"
    return f"{killed} kills left nothing, the repeat stored {remains(db)[0]} rows, its sum is the file's"


def report(found: dict[str, list[Figures]]) -> None:
    bare_s, bare_cpu_s = ([one[fact] for one in found["bare"]] for fact in ("seconds", "cpu_s"))
    for kind, figures in found.items():
        seconds = [one["seconds"] for one in figures]
        ratio = statistics.median(mine / its for mine, its in zip(seconds, bare_s, strict=True))
        cpu_ratio = statistics.median(one["cpu_s"] / its for one, its in zip(figures, bare_cpu_s, strict=True))
        print(
            f"{kind:10} median {statistics.median(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"of it fetching {statistics.median(one.get('fetch_s', 0) for one in figures):.2f} s, "
            f"{figures[0]['groups']:.0f} rows, "
            f"peak memory {max(one['peak_mb'] for one in figures):.0f} MB (aim {AIM_MB}), "
            f"ratio to bare {ratio:.2f} (aim {AIM_RATIO:g}), of processor time {cpu_ratio:.2f}",
            flush=True,
        )


def compare(server: PostgresServer, path: Path, *, rounds: int, kills: int) -> None:
    found: dict[str, list[Figures]] = {"bare": [], **{dialect: [] for dialect in DIALECTS}}
    for _ in range(rounds):
        found["bare"].append(measure(None, path))
        for dialect in DIALECTS:
            with fresh_url(dialect, server) as url, ledger(url) as db:
                with_accounts(db, ACCOUNT)
                request_runs(db, accounts=[ACCOUNT], days=MONTH)
                found[dialect].append(measure(url, path))
    report(found)
    for dialect in DIALECTS:
        seconds = statistics.median(one["seconds"] for one in found[dialect])
        with fresh_url(dialect, server) as url, ledger(url) as db:
            print(f"{dialect:10} {kill_and_repeat(db, url, path, kills=kills, seconds=seconds)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measured_here(given.database, given.file)
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder, durable_postgres() as server:
        path = Path(folder) / "export.csv"
        write_export(path, given.rows)
        print(f"{machine()}\n{given.rows} rows, {path.stat().st_size / BYTES_PER_MB:.0f} MB, {given.rounds} rounds")
        compare(server, path, rounds=given.rounds, kills=given.kills)


if __name__ == "__main__":
    main()
