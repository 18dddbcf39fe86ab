"""`python -m workers`: the launcher. It opens neither Redis nor the database; its worker processes do."""

import shutil
import sys
from pathlib import Path
from typing import Final

from loguru import logger

from shared.bootstrap.accounts import accounts_file
from shared.bootstrap.announce import announce
from shared.bootstrap.drain import EXIT_FAILED, EXIT_STOPPED, Drain
from shared.bootstrap.lifecycle import tell_mistakes
from shared.bootstrap.secrets import known_secrets
from shared.bootstrap.watch import Watch
from shared.core.errors import AccountsFileError, SettingsError
from shared.core.redact import redact_url
from shared.core.version import VERSION
from shared.ledger.database import Database
from shared.observability import events
from shared.observability.environment import hide_environment
from shared.observability.logs import configure_logging
from shared.observability.metrics import identify
from shared.probes.app import probe_app
from shared.probes.server import ProbeServer
from shared.redis_link import LinkConfig
from shared.settings import Settings, load_settings
from workers.folder import own_folder
from workers.launcher import Launcher, Plan

LAST_S: Final = 2.0


def main() -> int:
    """Run the worker until it is asked to end. Returns the exit code."""
    hide_environment()
    try:
        settings = load_settings()
        accounts = accounts_file(settings).load()
        # Here rather than in the worker processes, which would be started again and again over a mistake in a URL.
        LinkConfig.from_settings(settings)
        Database(settings.database_url)
    except (SettingsError, AccountsFileError) as error:
        return tell_mistakes(error)
    secrets = known_secrets(settings, accounts)
    configure_logging(level=settings.log_level, fmt=settings.log_format, process="worker", secrets=secrets)
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
        announce(launcher.checks, settled=launcher.settled, stopped=drain.requested, booted=launcher.booted)
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


if __name__ == "__main__":
    sys.exit(main())
