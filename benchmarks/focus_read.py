"""What the checks of the focus provider cost: its fetch beside DuckDB's bare aggregation of the same file.

python -m benchmarks.focus_read [--rows 1000000] [--rounds 5]

Each measurement is a process of its own (for its peak memory), the two kinds taking turns. The bare aggregation knows
what the file looks like, checks nothing and answers the same groups.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from shared.core.days import DayRange
from shared.costs.focus.provider import MEMORY_LIMIT_MB, THREADS, FocusProvider

MONTH: Final = DayRange(date(2024, 9, 1), date(2024, 9, 30))
BYTES_PER_MB: Final = 1_000_000
# Columns of FOCUS 1.0 that nobody reads here but that make a row as wide as real ones: name to content.
UNREAD: Final = {
    "AvailabilityZone": "'us-west-2a'",
    "BillingAccountId": "'1234567890123'",
    "BillingAccountName": "'SunBird'",
    "BillingPeriodEnd": "'2024-10-01 00:00:00'",
    "BillingPeriodStart": "'2024-09-01 00:00:00'",
    "ChargeClass": "NULL",
    "ChargeDescription": "'$0.008 per used load balancer capacity unit-hour (or partial hour)'",
    "ChargeFrequency": "'Usage-Based'",
    "ChargePeriodEnd": "'2024-09-30 23:00:00'",
    "ConsumedQuantity": "'0.002007490000000'",
    "ConsumedUnit": "'LCU-Hours'",
    "ContractedCost": "'0.00000000000'",
    "InvoiceIssuerName": "'Amazon Web Services, Inc.'",
    "ListCost": "'0.00001605990'",
    "ListUnitPrice": "'0.008'",
    "PricingCategory": "'Standard'",
    "PricingQuantity": "'0.00200749000'",
    "PricingUnit": "'LCU-Hours'",
    "PublisherName": "'Amazon Web Services, Inc.'",
    "RegionId": "'us-west-2'",
    "RegionName": "'US West (Oregon)'",
    "ResourceId": "'arn:aws:elasticloadbalancing:us-west-2:586597448978:loadbalancer/app/' || md5(CAST(i AS VARCHAR))",
    "ServiceCategory": "'Networking'",
    "SkuId": "'2ETY8Y426S4237JU'",
    "SkuPriceId": "'2ETY8Y426S4237JU.JRTCKXETXF.6YS6EN2CT7'",
    "SubAccountName": "'Zenith Eclipse'",
    "Tags": """'{"application": "BrightLensMatrix", "environment": "dev", "business_unit": "ViennaAI"}'""",
}
READ: Final = {
    "BilledCost": "printf('%d.%011d', (i * 7919) % 90, (i * 104729) % 100000000000)",
    "EffectiveCost": "printf('%d.%011d', (i * 7919) % 90, (i * 15485863) % 100000000000)",
    "BillingCurrency": "'USD'",
    "ChargeCategory": "'Usage'",
    "ChargePeriodStart": "strftime(TIMESTAMP '2024-09-01' + to_hours(CAST(i % 720 AS INTEGER)), '%Y-%m-%d %H:%M:%S')",
    "ProviderName": "'AWS'",
    "ServiceName": "'Amazon Service ' || ((i // 73) % 47)",
    "SubAccountId": "'5173892' || (i % 73)",
}
KINDS: Final = ("bare", "fetch")


def write_export(path: Path, rows: int) -> None:
    columns = ", ".join(f'{content} AS "{name}"' for name, content in sorted((UNREAD | READ).items()))
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f"COPY (SELECT {columns} FROM range({rows}) numbers(i)) TO '{path}' (HEADER, FORCE_QUOTE *, NULLSTR 'NULL')"
        )


def bare(path: Path) -> int:
    with duckdb.connect(":memory:", config={"memory_limit": f"{MEMORY_LIMIT_MB}MB", "threads": THREADS}) as connection:
        cursor = connection.execute(
            "SELECT CAST(ChargePeriodStart AS DATE) AS day, SubAccountId, ProviderName, ServiceName, ChargeCategory, "
            "BillingCurrency, sum(CAST(BilledCost AS DECIMAL(38,24))), sum(CAST(EffectiveCost AS DECIMAL(38,24))) "
            f"FROM read_csv('{path}', all_varchar = true, nullstr = 'NULL') GROUP BY ALL"
        )
        return len(cursor.fetchall())


def fetch(path: Path) -> int:
    return len(FocusProvider(str(path)).fetch(MONTH).rows)


def measure(kind: str, path: Path) -> dict[str, float]:
    """Seconds, processor time, groups and peak memory of one run, in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.focus_read", "--measure", kind, "--file", str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def measured_here(kind: str, path: Path) -> None:
    began_s, cpu_began_s = time.perf_counter(), time.process_time()
    groups = {"bare": bare, "fetch": fetch}[kind](path)
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "groups": groups, "peak_mb": peak_mb}))


def compare(rows: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder) / "export.csv"
        write_export(path, rows)
        print(
            f"{rows} rows, {path.stat().st_size / BYTES_PER_MB:.0f} MB, {len(UNREAD | READ)} columns, {rounds} rounds"
        )
        found = [{kind: measure(kind, path) for kind in KINDS} for _ in range(rounds)]
    for kind in KINDS:
        seconds = [each[kind]["seconds"] for each in found]
        peak_mb = max(each[kind]["peak_mb"] for each in found)
        print(
            f"{kind:6} median {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"{found[0][kind]['groups']:.0f} groups, peak memory {peak_mb:.0f} MB"
        )
    for fact, name in (("seconds", "time"), ("cpu_s", "processor time")):
        ratios = [each["fetch"][fact] / each["bare"][fact] for each in found]
        print(f"ratio of {name}: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measured_here(given.measure, given.file)
    else:
        compare(given.rows, given.rounds)


if __name__ == "__main__":
    main()
