"""Entry point of the scheduler: `python -m scheduler`."""

import sys

from scheduler.service import Scheduler
from shared.bootstrap.container import Container
from shared.bootstrap.drain import Drain
from shared.bootstrap.lifecycle import run_process


def main(container: Container, drain: Drain) -> None:
    """Schedule until the end is asked for. What is under way then is the ledger's to finish."""
    scheduler = Scheduler(container)
    scheduler.start()
    container.serve_probes()
    container.announce_started()
    drain.wait()
    scheduler.stop()


if __name__ == "__main__":
    sys.exit(run_process("scheduler", main))
