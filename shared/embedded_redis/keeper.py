"""Keeps one redis-server running until it is told to stop, and stops it after its clients."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Final

import redis
from loguru import logger

from shared.core.errors import SettingsError
from shared.embedded_redis.address import ServerAddress
from shared.embedded_redis.config import Ending, config_text, ending
from shared.embedded_redis.folder import DataFolder
from shared.embedded_redis.occupant import Occupant, bindable, occupant
from shared.embedded_redis.server import Server, answers, client_for, other_clients
from shared.observability import events

FIRST_DELAY_S: Final = 0.2
MAX_DELAY_S: Final = 5.0
# A server that answered for this long died of something new, not of what the last one died of.
STEADY_S: Final = 10.0
# An embedded Redis that drains holds its port for a moment after the next one was started.
PORT_PATIENCE_S: Final = 5.0
STARTING_POLL_S: Final = 0.05
RUNNING_POLL_S: Final = 0.2
# Of deaths in a row, the first few are told, then about one a minute.
DEATHS_TOLD: Final = 3
DEATHS_PER_LINE: Final = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, where, and how long its clients may take to leave. `version` is for the log."""

    binary: Path
    version: str
    address: ServerAddress
    folder: Path
    drain_s: float


@dataclass(frozen=True, slots=True)
class Orders:
    """`stop` asks for an end after the clients', `hurry` for one at once; `orphaned` counts as `stop`."""

    stop: Event
    hurry: Event
    orphaned: Callable[[], bool]

    def stopping(self) -> bool:
        """Whether the end has been asked for."""
        if not self.stop.is_set() and self.orphaned():
            self.stop.set()
        return self.stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, shorter when the end is asked for; then whether it is."""
        self.stop.wait(seconds)
        return self.stopping()


def restart_delay_s(deaths: int) -> float:
    """Seconds to wait after death number `deaths` (1 is the first) in a row."""
    return min(FIRST_DELAY_S * math.pow(2, min(deaths - 1, 16)), MAX_DELAY_S)


class Keeper:
    """`run` once."""

    def __init__(self, plan: Plan, orders: Orders) -> None:
        self._plan = plan
        self._orders = orders
        self._folder = DataFolder(plan.folder)
        self._server: Server | None = None
        self._ever_ready = False

    def run(self) -> None:
        """Keep the server until it is told to stop. Raises SettingsError when the place or the folder is not free."""
        self._folder.claim()
        try:
            self._await_free_place()
            self._keep()
            self._await_clients()
        finally:
            if self._server is not None:
                self._server.stop()
            self._folder.release()
        logger.bind(event=events.EMBEDDED_REDIS_STOPPED).info("Embedded Redis: Stopped")

    def _await_free_place(self) -> None:
        found = occupant(self._plan.address)
        if found is not None:
            logger.bind(event=events.EMBEDDED_REDIS_FAILED, patience_s=PORT_PATIENCE_S).warning(
                f"Embedded Redis: {found.sentence(self._plan.address)}, waiting a moment for it to go"
            )
        deadline_s = time.monotonic() + PORT_PATIENCE_S
        while found is not None and not self._orders.wait(RUNNING_POLL_S):
            if time.monotonic() > deadline_s:
                raise SettingsError(problems=[found.problem(self._plan.address)])
            found = occupant(self._plan.address)

    def _keep(self) -> None:
        deaths = 0
        while not self._orders.stopping():
            cause, lived_s = self._one_life()
            if self._orders.stopping():
                return
            deaths = 1 if lived_s >= STEADY_S else deaths + 1
            self._tell_death(deaths, cause)
            self._orders.wait(restart_delay_s(deaths))

    def _one_life(self) -> tuple[str, float]:
        """Run one server until it ends or an end is asked for. Return why it ended and how long it answered."""
        bind = bindable(self._plan.address.host)
        self._server = Server(self._plan.binary, config_text(self._plan.address, folder=self._folder.path, bind=bind))
        try:
            self._server.start()
        except OSError as error:
            return f"{self._plan.binary} cannot be run: {error.strerror}", 0.0
        lived_s = self._watch(self._server)
        if self._orders.stopping():
            return "", lived_s
        self._server.stop()
        return self._post_mortem(self._server), lived_s

    def _watch(self, server: Server) -> float:
        """Wait until the server has ended or an end is asked for. Return for how many seconds it answered."""
        ready_at_s = None
        with closing(client_for(self._plan.address)) as client:
            while server.exit_code() is None:
                if ready_at_s is None and answers(client):
                    ready_at_s = time.monotonic()
                    self._greet(server)
                if self._orders.wait(STARTING_POLL_S if ready_at_s is None else RUNNING_POLL_S):
                    break
        return 0.0 if ready_at_s is None else time.monotonic() - ready_at_s

    def _greet(self, server: Server) -> None:
        self._ever_ready = True
        logger.bind(
            event=events.EMBEDDED_REDIS_STARTED,
            binary=str(self._plan.binary),
            version=self._plan.version,
            folder=str(self._folder.path),
            pid=server.pid,
        ).info(f"Embedded Redis: Ready on {self._plan.address} ({self._plan.version})")

    def _post_mortem(self, server: Server) -> str:
        words = server.last_words()
        kind = ending(words)
        if kind is Ending.PORT_TAKEN and not self._ever_ready:
            raise SettingsError(
                problems=[(occupant(self._plan.address) or Occupant.PROGRAM).problem(self._plan.address)]
            )
        if kind is Ending.DATA_UNREADABLE:
            aside = self._folder.set_aside(datetime.now(UTC))
            # Nothing is lost with it: the ledger sends again what a Redis without memory needs.
            logger.bind(event=events.EMBEDDED_REDIS_FAILED, folder=str(aside)).warning(
                "Embedded Redis: This server cannot read the append-only file, so it begins empty. The file is kept in "
                f"{aside}: delete it, or set EMBEDDED_REDIS_BIN to the newer server that wrote it and move it back"
            )
        return f"exit code {server.exit_code()}: {words[-1] if words else 'it said nothing'}"

    def _tell_death(self, deaths: int, cause: str) -> None:
        if deaths > DEATHS_TOLD and deaths % DEATHS_PER_LINE:
            return
        delay_ms = round(restart_delay_s(deaths) * 1000)
        logger.bind(event=events.EMBEDDED_REDIS_LOST, deaths=deaths, cause=cause, delay_ms=delay_ms).warning(
            f"Embedded Redis: Server ended, restarting in {delay_ms}ms ({cause})"
        )

    def _await_clients(self) -> None:
        """Serve on while other clients are connected: their drain may need the server."""
        if self._server is None or self._server.exit_code() is not None:
            return
        deadline_s = time.monotonic() + self._plan.drain_s
        with closing(client_for(self._plan.address)) as client:
            while time.monotonic() < deadline_s and self._busy(client):
                if self._orders.hurry.wait(STARTING_POLL_S):
                    return

    def _busy(self, client: redis.Redis) -> bool:
        try:
            return other_clients(client) > 0
        except redis.RedisError as error:
            logger.bind(event=events.EMBEDDED_REDIS_LOST, cause=type(error).__name__).info(
                "Embedded Redis: Server gone before its clients"
            )
            return False
