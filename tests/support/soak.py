"""The soak: a seeded story of deaths and outages, told to real processes; the ledger must be right in the end."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from random import Random
from uuid import UUID

import psutil
import redis as redis_py

from shared.core.days import DayRange, last_complete_days
from shared.core.errors import DatabaseUnavailableError
from shared.core.runs import RunReady, RunState
from shared.ledger.accounts import sync_accounts
from shared.ledger.database import Database
from shared.ledger.meta import ledger_id
from shared.ledger.migrate import upgrade
from shared.ledger.queries import find_runs, get_run
from shared.messaging.message import encode, queue_namespace
from tests.support.fleet import MODULES, Fleet, running_fleet, source
from tests.support.ledger_check import broken, unfinished
from tests.support.paced_worker import FLAKY
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for, wait_none

ACCOUNTS = ("five", FLAKY, "four", "one", "three", "two")
DAYS = 8
SETTLE_S = 180.0
STOPS = 4
STRANGER = UUID("00000000-0000-4000-8000-00000000dead")


class Deed(StrEnum):
    """What happens next. A kill is SIGKILL; a launcher's worker process is killed alone, or orphaned with it."""

    KILL_LAUNCHER = "kill launcher"
    KILL_WORKER = "kill worker process"
    KILL_SCHEDULER = "kill scheduler"
    KILL_API = "kill status_api"
    REDIS_DIES = "Redis dies"
    REDIS_RETURNS = "Redis returns, empty"
    REDIS_FREEZES = "Redis freezes"
    REDIS_THAWS = "Redis thaws"
    REDIS_FORGETS = "Redis is wiped"
    DATABASE_RESTARTS = "the database restarts"
    REQUEST = "runs are requested"
    OLD_HINTS = "duplicate and ancient hints"


KILLS = (Deed.KILL_LAUNCHER, Deed.KILL_WORKER, Deed.KILL_SCHEDULER, Deed.KILL_API)
OTHERS = {
    "there": (Deed.REQUEST, Deed.REQUEST, Deed.OLD_HINTS, Deed.REDIS_FORGETS, Deed.REDIS_DIES, Deed.REDIS_FREEZES),
    "dead": (Deed.REQUEST, Deed.REDIS_RETURNS),
    "frozen": (Deed.REQUEST, Deed.REDIS_THAWS),
}
BECOMES = {
    Deed.REDIS_DIES: "dead",
    Deed.REDIS_FREEZES: "frozen",
    Deed.REDIS_RETURNS: "there",
    Deed.REDIS_THAWS: "there",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A deed, whom it meets (of however many there are), and how long everybody works in peace before it."""

    deed: Deed
    choice: int
    pause_s: float


def story(seed: int, kills: int) -> list[Step]:
    """The same for the same seed: so many kills, other deeds between them, a database restart in the middle."""
    steps = list(_deeds(Random(seed), kills))
    middle = len(steps) // 2
    return [*steps[:middle], Step(Deed.DATABASE_RESTARTS, 0, 0.2), *steps[middle:]]


def _deeds(chance: Random, kills: int) -> Iterator[Step]:
    redis = "there"
    for _ in range(kills):
        if chance.random() < 0.7:
            deed = chance.choice(OTHERS[redis])
            redis = BECOMES.get(deed, redis)
            yield Step(deed, chance.randrange(1000), chance.uniform(0.0, 0.6))
        yield Step(chance.choice(KILLS), chance.randrange(1000), chance.uniform(0.0, 1.5))


@dataclass
class Soak:
    """One soak; `run` returns what is wrong in the end. `server` is the database's, None on SQLite."""

    folder: Path
    database_url: str
    seed: int
    kills: int
    server: PostgresServer | None = None
    copies: int = 2
    say: Callable[[str], object] = lambda _line: None
    promised: set[int] = field(default_factory=set)

    def run(self) -> list[str]:
        """Tell the story, let everybody finish, and ask the ledger."""
        self.expected = source(self.folder, ACCOUNTS, DAYS)
        environment = {"COST_LOOKBACK_DAYS": str(DAYS), "COST_SCHEDULE": "* * * * *", "COST_RESTATE_DAYS": "0"}
        self.db = Database(self.database_url)
        upgrade(self.db)
        sync_accounts(self.db, [(name, "focus", False) for name in ACCOUNTS])
        self.own = ledger_id(self.db)
        self.problems: list[str] = []
        with RedisServer() as self.redis:
            self.fleet = Fleet(
                self.folder, redis_url=self.redis.url, database_url=self.database_url, environment=environment
            )
            with running_fleet(self.fleet):
                for name in ("scheduler", "worker", "status_api"):
                    self.fleet.add(name, self.copies)
                wait_for(lambda: all(member.serving() for member in self.fleet.members), 60, "everybody to serve")
                self._tell()
                self._settle()
                found = broken(self.db, self.expected) + self._unkept()
                errors = self.fleet.tracebacks()
        self.db.dispose()
        return [*self.problems, *found, *errors]

    def _tell(self) -> None:
        peace = threading.Event()
        deeds = self._deeds()
        for step in story(self.seed, self.kills):
            peace.wait(step.pause_s)
            self.say(f"{step.deed} ({step.choice})")
            deeds[step.deed](step.choice)
            self._mend()

    def _deeds(self) -> dict[Deed, Callable[[int], object]]:
        return {
            Deed.KILL_LAUNCHER: lambda choice: self._kill("worker", choice),
            Deed.KILL_WORKER: self._kill_child,
            Deed.KILL_SCHEDULER: lambda choice: self._kill("scheduler", choice),
            Deed.KILL_API: lambda choice: self._kill("status_api", choice),
            Deed.REDIS_DIES: lambda _: self.redis.kill(),
            Deed.REDIS_RETURNS: lambda _: self.redis.start(),
            Deed.REDIS_FREEZES: lambda _: self.redis.freeze(),
            Deed.REDIS_THAWS: lambda _: self.redis.thaw(),
            Deed.REDIS_FORGETS: lambda _: self.redis.wipe(),
            Deed.DATABASE_RESTARTS: lambda _: self._restart_database(),
            Deed.REQUEST: self._request,
            Deed.OLD_HINTS: self._old_hints,
        }

    def _kill(self, name: str, choice: int) -> None:
        members = self.fleet.all(name)
        members[choice % len(members)].kill()

    def _kill_child(self, choice: int) -> None:
        members = self.fleet.all("worker")
        workers = members[choice % len(members)].workers()
        if workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                workers[choice % len(workers)].kill()

    def _mend(self) -> None:
        self.problems += self.fleet.mend()

    def _restart_database(self) -> None:
        """From here on there is one more of each process."""
        if self.server is not None:
            self.server.kill()
            self.server.start()
        for name in MODULES:
            self.fleet.add(name)

    def _request(self, choice: int) -> None:
        """Some days of one account, or of all. What is answered with 202 is promised."""
        days = last_days(1 + choice % DAYS)
        payload = {"start": str(days.start), "end": str(days.end)}
        if choice % 3:
            payload["account"] = ACCOUNTS[choice % len(ACCOUNTS)]
        answer = self.fleet.ask("/api/v1/runs", method="POST", payload=payload)
        if answer is not None and answer.status == 202:
            self.promised |= {int(run["id"]) for run in answer.body["runs"]}

    def _old_hints(self, choice: int) -> None:
        """Each of the newest runs three times over, of an attempt long gone, and of a ledger of somebody else's."""
        chance = Random(choice)
        with contextlib.suppress(DatabaseUnavailableError):
            for run in find_runs(self.db, limit=20).runs:
                attempt = chance.randint(1, run.attempt)
                hints = [RunReady(self.own, run.id, attempt), RunReady(STRANGER, run.id, attempt)]
                self._send([*hints, *hints, RunReady(self.own, run.id + 1_000_000, 1)])

    def _send(self, hints: Sequence[RunReady]) -> None:
        with self.redis.admin() as admin, contextlib.suppress(redis_py.RedisError):
            for hint in hints:
                # As Dramatiq writes it, but with no connection of ours between.
                message = encode(hint)
                message = message.copy(options={"redis_message_id": message.message_id})
                queue = f"{queue_namespace('holdfast')}:{message.queue_name}"
                admin.hset(f"{queue}.msgs", message.message_id, message.encode())
                admin.rpush(queue, message.message_id)

    def _settle(self) -> None:
        """Everybody is well again; a Redis that has just forgotten everything spares waiting for what it may hold."""
        self.redis.thaw()
        if self.redis.process is None:
            self.redis.start()
        self.redis.wipe()
        self.say("everybody may finish now")
        for _ in range(STOPS):
            wait_none(self._unfinished, SETTLE_S)
            # One that was started a moment ago takes no signal yet: the interpreter is still being set up.
            for member in self.fleet.members:
                wait_for(member.serving, SETTLE_S, f"{member} to serve")
            codes = self.fleet.stop()
            self.problems += [f"{name} ended with {code}" for name, code in codes.items() if code != 0]
            if not unfinished(self.db, self.expected):
                return
            self.say("a fire came in between, once more")

    def _unfinished(self) -> list[str]:
        self._mend()
        return unfinished(self.db, self.expected)

    def _unkept(self) -> list[str]:
        """Runs that were answered with 202 and are not done, and runs that were given up."""
        runs = [get_run(self.db, run_id) for run_id in sorted(self.promised)]
        runs += find_runs(self.db, state=RunState.FAILED).runs
        return [f"run {run.id}: {run.state} ({run.error})" for run in runs if run.state is not RunState.SUCCEEDED]


def last_days(number: int) -> DayRange:
    """The last so many days that have ended."""
    return last_complete_days(datetime.now(UTC), number)
