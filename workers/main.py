"""What Dramatiq's command line calls in each worker process. Importing this does nothing."""

import os
import signal
import sys

import dramatiq

from shared.bootstrap.container import build
from shared.observability.environment import hide_environment
from shared.observability.logs import configure_logging
from workers.child import Child


def setup() -> None:
    """Build this worker process and start it. Needs neither Redis nor the database."""
    # Dramatiq replaces both by a pipe to its parent, which would hold up every line when that process is stuck.
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    # Meant for the parent, whose handlers a fork inherits.
    for number in (signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    # Dramatiq tells of an error that comes before the settings are known, and would do so as it is.
    hide_environment()
    configure_logging(level="info", fmt="text", process="worker")
    child = Child(build("worker"), os.environ)
    dramatiq.set_broker(child.broker)
    child.start()
