"""`python -m tests.fakes.azure_query --port 0`: prints its address and serves until SIGTERM or SIGINT."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import date

from tests.fakes.azure_query.estate import Estate
from tests.fakes.azure_query.faults import Fault
from tests.fakes.azure_query.server import PAGE_ROWS, FakeAzure


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve. The first line on standard output is the address."""
    given = _parser().parse_args(arguments)
    estate = Estate(given.subscriptions, given.tenants, given.services, given.seed, given.first_day)
    fake = FakeAzure(
        estate,
        host=given.host,
        port=given.port,
        page_rows=given.page_rows,
        quota_scale=given.quota,
        latency_s=given.latency_ms / 1000,
    )
    for kind in given.fault:
        name, _, chance = kind.partition(":")
        fake.faults.add(Fault(name, times=None, chance=float(chance or 1), retry_after_s=1))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=fake.serve_forever, daemon=True).start()
    sys.stdout.write(f"{fake.url}\n")
    sys.stdout.flush()
    stop.wait()
    fake.closing.set()
    fake.shutdown()
    fake.server_close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.azure_query", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--subscriptions", type=int, default=3)
    parser.add_argument("--tenants", type=int, default=1)
    parser.add_argument("--services", type=int, default=5, help="in each subscription")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-day", type=date.fromisoformat, default=date(2020, 1, 1))
    parser.add_argument("--page-rows", type=int, default=PAGE_ROWS)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--quota", type=float, default=1.0, help="times Azure's own; 0: none")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND[:CHANCE]", help="such as 500:0.05")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
