"""Entry point of the embedded Redis. Exit codes: 0 stopped as asked, 2 something the operator has to put right."""

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

from shared.core.errors import SettingsError
from shared.embedded_redis.address import ServerAddress
from shared.embedded_redis.binary import find_binary, server_version
from shared.embedded_redis.keeper import Keeper, Orders, Plan
from shared.observability.environment import hide_environment
from shared.observability.logs import configure_logging
from shared.observability.parent import parent_watch
from shared.observability.redactor import secrets_of_url, without_secrets
from shared.observability.signals import ignore_at_exit
from shared.settings import Settings, load_settings

FOLDER: Final = Path("var/redis")
EXIT_MISTAKE: Final = 2
# A terminal, a process manager and its group may each pass on the same request.
SAME_REQUEST_S: Final = 1.0
SIGNAL_POLL_S: Final = 0.2


def main() -> int:
    """Keep a Redis at REDIS_URL until a signal."""
    orders = Orders(stop=Event(), hurry=Event(), orphaned=parent_watch())
    _obey_signals(orders)
    hide_environment()
    try:
        settings = load_settings()
        configure_logging(
            level=settings.log_level,
            fmt=settings.log_format,
            process="redis",
            secrets=secrets_of_url(settings.redis_url),
        )
        # In a thread, so that a signal never interrupts whoever holds the lock of an Event that its handler sets.
        with ThreadPoolExecutor(1) as pool:
            keeping = pool.submit(Keeper(_plan(settings), orders).run)
            # Python handles a signal at the main thread's next step, which another thread's wake-up does not cause.
            while not wait([keeping], SIGNAL_POLL_S).done:
                pass
            keeping.result()
    except SettingsError as error:
        for problem in error.problems:
            print(without_secrets(problem), file=sys.stderr, flush=True)  # noqa: T201 - as every process tells such mistakes
        return EXIT_MISTAKE
    return 0


def _plan(settings: Settings) -> Plan:
    address = ServerAddress.from_url(settings.redis_url)
    binary = find_binary(settings.embedded_redis_bin, os.environ.get("PATH", os.defpath))
    return Plan(binary, server_version(binary), address, FOLDER, settings.shutdown_grace_s)


def _obey_signals(orders: Orders) -> None:
    first_at_s: list[float] = []
    later: list[int] = []

    def obey(number: int, _frame: FrameType | None) -> None:
        # Each Event is set once: a handler that interrupts another one's set() would wait for its lock for ever.
        now_s = time.monotonic()
        first_at_s.append(now_s)
        if len(first_at_s) == 1:
            orders.stop.set()
        elif now_s - first_at_s[0] > SAME_REQUEST_S:
            later.append(number)
            if len(later) == 1:
                orders.hurry.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, obey)
    ignore_at_exit([signal.SIGTERM, signal.SIGINT])


if __name__ == "__main__":
    sys.exit(main())
