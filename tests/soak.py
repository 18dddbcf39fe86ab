"""The long soak: 200 seeded random kills on each database, with everything else that may happen meanwhile.

    python -m tests.soak [--seed N] [--kills 200] [--copies 2] [--databases sqlite,postgresql]

Prints the seed first: the same seed tells the same story again. Exit code 1 when the ledger is not right in the end.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.support.database import DIALECTS
from tests.support.postgres import start_postgres
from tests.support.soak import Soak


def soak(dialect: str, arguments: argparse.Namespace) -> list[str]:
    """One database; what is wrong in the end."""
    began_s = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began_s:7.1f} s  {line}\n")
        sys.stdout.flush()

    say(f"{dialect}: seed {arguments.seed}, {arguments.kills} kills")
    server = start_postgres() if dialect == "postgresql" else None
    with tempfile.TemporaryDirectory(prefix="holdfast-soak-") as temporary:
        folder = Path(temporary)
        url = server.create_database() if server else f"sqlite:///{folder}/holdfast.db"
        try:
            one = Soak(folder, url, arguments.seed, arguments.kills, server, arguments.copies, say)
            problems = one.run()
        finally:
            if server:
                server.close()
    say(f"{dialect}: {len(problems)} problems, {len(one.promised)} requested runs kept their promise")
    for problem in problems:
        say(f"  {problem}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description="Random deaths and outages; the ledger must be right in the end.")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--databases", default=",".join(DIALECTS))
    arguments = parser.parse_args()
    problems = [problem for dialect in arguments.databases.split(",") for problem in soak(dialect, arguments)]
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
