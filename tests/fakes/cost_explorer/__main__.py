"""Runs the fake: `python -m tests.fakes.cost_explorer --port 0 --payers 10`.

The first line on standard output is its address. `--env FILE` and `--accounts FILE` write what a worker needs to
collect from it: variables (KEY=value) and `[[account]]` tables, one for each payer through its role.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from tests.fakes.cost_explorer.server import FakeCostExplorer

EXTERNAL_ID_VARIABLE = "FAKE_AWS_EXTERNAL_ID"


def accounts_toml(fake: FakeCostExplorer) -> str:
    """One account for each payer."""
    external = f'external_id_env = "{EXTERNAL_ID_VARIABLE}"\n' if fake.sts.external_id else ""
    return "\n".join(
        f'[[account]]\nname = "aws-{number:02d}"\nprovider = "aws"\naccount_id = "{payer}"\n'
        f'role_arn = "{fake.role_arn(payer)}"\n{external}endpoint = "{fake.url}"\n'
        for number, payer in enumerate(fake.payers, start=1)
    )


def environment(fake: FakeCostExplorer) -> dict[str, str]:
    """What a worker's environment needs."""
    external = {EXTERNAL_ID_VARIABLE: fake.sts.external_id} if fake.sts.external_id else {}
    return fake.environment() | external


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    given = _parsed(arguments)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    fake = FakeCostExplorer(
        payers=given.payers,
        members=given.members,
        seed=given.seed,
        page_groups=given.page_groups,
        estimated_days=given.estimated_days,
        external_id=given.external_id,
        role_lifetime=timedelta(seconds=given.role_lifetime_s),
        rate_per_s=given.rate,
        port=given.port,
    )
    with fake:
        if given.accounts:
            given.accounts.write_text(accounts_toml(fake))
        if given.env:
            given.env.write_text("".join(f"{name}={value}\n" for name, value in environment(fake).items()))
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        stopped.wait()
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.cost_explorer", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--payers", type=int, default=2)
    parser.add_argument("--members", type=int, default=3, help="accounts of each payer, itself included")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page-groups", type=int, default=1000)
    parser.add_argument("--estimated-days", type=int, default=2)
    parser.add_argument("--external-id", default=None)
    parser.add_argument("--role-lifetime-s", type=float, default=3600)
    parser.add_argument("--rate", type=float, default=None, help="requests a second and account")
    parser.add_argument("--accounts", type=Path, default=None)
    parser.add_argument("--env", type=Path, default=None)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
