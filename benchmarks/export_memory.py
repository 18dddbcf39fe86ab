"""How much memory an export takes as what it exports grows tenfold: it should be the same.

    python -m benchmarks.export_memory [--rows 100000 1000000]

Each export is a process of its own, for its peak; so is one that exports nothing, which is what the imports take. The
rows of a size lie in a ledger of their own, over as many days as a day of 10,000 rows makes them.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from benchmarks.ledgers import DIALECTS, durable_postgres, fresh_url, ledger, machine
from shared.core.days import DayRange
from shared.costs.focus.written import csv_pieces, write_csv, write_parquet
from shared.ledger.exporting import ExportQuery, exported
from tests.support.large_ledger import fill

FIRST: Final = date(2020, 1, 1)
ROWS_A_DAY: Final = 10_000
WRITERS: Final = {"csv": write_csv, "parquet": write_parquet}


def measured_here(url: str, form: str, days: DayRange) -> None:
    with ledger(url) as db, tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        target = Path(folder) / "export"
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        WRITERS[form](csv_pieces(exported(db, ExportQuery(days))), target)
        found = {
            "seconds": time.perf_counter() - began_s,
            "cpu_s": time.process_time() - cpu_began_s,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "mb": target.stat().st_size / 1_000_000,
        }
    print(json.dumps(found), flush=True)


def measure(url: str, form: str, days: DayRange) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.export_memory", "--measure", form, "--database", url]
    command += ["--days", str(days.start), str(days.end)]
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


def main(sizes: list[int]) -> None:
    print(machine())
    nothing = DayRange(FIRST - timedelta(days=1), FIRST - timedelta(days=1))
    with durable_postgres() as server:
        for dialect in DIALECTS:
            for rows in sizes:
                days = DayRange(FIRST, FIRST + timedelta(days=max(rows // ROWS_A_DAY, 1) - 1))
                with fresh_url(dialect, server) as url:
                    with ledger(url) as db:
                        fill(db, days, ROWS_A_DAY)
                    for form in WRITERS:
                        base, found = measure(url, form, nothing), measure(url, form, days)
                        print(
                            f"{dialect:10} {form:7} {rows:>10,} rows: peak {found['peak_mb']:.0f} MB "
                            f"(nothing: {base['peak_mb']:.0f}), {found['seconds']:.1f} s, {found['cpu_s']:.1f} s of "
                            f"processor, {found['mb']:.0f} MB written",
                            flush=True,
                        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--measure", choices=WRITERS)
    parser.add_argument("--database")
    parser.add_argument("--days", type=date.fromisoformat, nargs=2)
    given = parser.parse_args()
    if given.measure:
        measured_here(given.database, given.measure, DayRange(*given.days))
    else:
        main(given.rows)
