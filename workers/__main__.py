"""`python -m workers`: the launcher. It opens neither Redis nor the database; its worker processes do."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from loguru import logger

from shared.bootstrap.announce import announce
from shared.bootstrap.drain import EXIT_FAILED, EXIT_MISTAKE, EXIT_STOPPED, Drain
from shared.bootstrap.watch import Watch
from shared.core.errors import AccountsFileError, SettingsError
from shared.core.redact import redact_url
from shared.core.version import VERSION
from shared.costs.accounts_file import load_accounts
from shared.observability import events
from shared.observability.logs import configure_logging
from shared.observability.metrics import identify
from shared.observability.redactor import secrets_of_environment, secrets_of_url
from shared.probes.app import probe_app
from shared.probes.server import ProbeServer
from shared.settings import Settings, load_settings
from workers.folder import own_folder
from workers.launcher import Launcher, Plan

LAST_S: Final = 2.0


def main() -> int:
    """Run the worker until it is asked to end. Returns the exit code."""
    try:
        settings = load_settings()
        load_accounts(settings.accounts_file)
    except (SettingsError, AccountsFileError) as error:
        for problem in error.problems:
            print(problem, file=sys.stderr, flush=True)  # noqa: T201 - for a person, before the log is set up
        return EXIT_MISTAKE
    configure_logging(
        level=settings.log_level, fmt=settings.log_format, process="worker", secrets=set(_secrets(settings))
    )
    identify("worker")
    with own_folder() as folder:
        return _run(settings, folder)


def _run(settings: Settings, folder: Path) -> int:
    drain = Drain(settings.shutdown_grace_s)
    launcher = Launcher(_plan(settings, folder))
    watch = Watch(drain)
    watch.before_stopping_at_once(launcher.stop_at_once)
    watch.before_stopping_at_once(lambda: shutil.rmtree(folder, ignore_errors=True))
    watch.start()
    probes = ProbeServer(probe_app(launcher, launcher.metrics_page), settings.host, settings.probe_port_of("worker"))
    probes.start()
    code = EXIT_STOPPED
    try:
        launcher.start()
        announce(launcher.checks, settled=launcher.settled, stopped=drain.requested)
        launcher.keep_running(drain)
    except Exception:  # noqa: BLE001 - whatever ends a process is told before it ends
        logger.bind(event=events.PROCESS_FAILED).opt(exception=True).critical("The process failed")
        code = EXIT_FAILED
    finally:
        drain.request("ended")
        launcher.drain(drain.left_s())
        watch.expect_end(LAST_S)
        probes.stop(0.2)
    logger.bind(event=events.PROCESS_STOPPED, reason=drain.reason, exit_code=code).info("Stopped")
    return code


def _plan(settings: Settings, folder: Path) -> Plan:
    return Plan(
        processes=settings.worker_processes,
        threads=settings.worker_threads,
        grace_s=settings.shutdown_grace_s,
        version=VERSION,
        redis_url=redact_url(settings.redis_url),
        folder=folder,
    )


def _secrets(settings: Settings) -> Iterator[str]:
    yield from secrets_of_url(settings.redis_url)
    yield from secrets_of_url(settings.database_url)
    if settings.api_token:
        yield settings.api_token
    yield from secrets_of_environment(os.environ)


if __name__ == "__main__":
    sys.exit(main())
