"""From boot to exit code: what every process does around its work.

Exit codes: 0 ended as asked; 1 an unexpected error, or cut by a second signal; 2 the operator has to correct
something (each mistake one line on standard error, before any port is opened).
"""

import sys
import time
from collections.abc import Callable
from typing import Final

from loguru import logger

from shared.bootstrap.container import Container, build
from shared.bootstrap.drain import EXIT_FAILED, EXIT_MISTAKE, EXIT_STOPPED, Drain
from shared.bootstrap.watch import Watch
from shared.core.errors import AccountsFileError, SettingsError
from shared.observability import events
from shared.observability.environment import hide_environment
from shared.observability.redactor import without_secrets
from shared.settings import Process

Main = Callable[[Container, Drain], None]
# After the work has ended, the interpreter gets this long to end too, whatever threads are left.
LAST_S: Final = 5.0


def run_process(process: Process, main: Main, *, on_watch: Callable[[Watch], None] | None = None) -> int:
    """Build the process, start it, run `main` until it returns, stop it. Returns the exit code.

    `main` returns soon after `drain.requested` is set, at the latest at `drain.deadline`. It may raise SettingsError
    for what it finds wrong before it serves, such as a taken port. `on_watch` is given the watch over signals, for a
    process with children of its own.
    """
    hide_environment()
    drain = Drain()
    watch = Watch(drain)
    if on_watch:
        on_watch(watch)
    watch.start()
    try:
        container = build(process)
        drain.grace_s = container.settings.shutdown_grace_s
        container.draining_by(drain.requested.is_set)
        return _run(container, drain, main)
    except (SettingsError, AccountsFileError) as error:
        return tell_mistakes(error)
    finally:
        watch.expect_end(LAST_S)


def tell_mistakes(error: SettingsError | AccountsFileError) -> int:
    """Write each problem as one line on standard error. Returns the exit code for mistakes."""
    for problem in error.problems:
        print(without_secrets(problem), file=sys.stderr, flush=True)  # noqa: T201 - the log may not be set up yet, and this is for a person
    return EXIT_MISTAKE


def _run(container: Container, drain: Drain, main: Main) -> int:
    began_s = time.monotonic()
    code = EXIT_STOPPED
    try:
        container.start()
        main(container, drain)
    except (SettingsError, AccountsFileError) as error:
        code = tell_mistakes(error)
    except Exception:  # noqa: BLE001 - whatever ends a process is told before it ends
        logger.bind(event=events.PROCESS_FAILED).opt(exception=True).critical("The process failed")
        code = EXIT_FAILED
    finally:
        drain.request("ended")
        container.stop()
    ran_s = round(time.monotonic() - began_s, 1)
    logger.bind(event=events.PROCESS_STOPPED, reason=drain.reason, ran_s=ran_s, exit_code=code).info("Stopped")
    return code
