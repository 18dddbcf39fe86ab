"""Points at which a test has the process die: on both sides of every commit, and around whatever is sent.

Nothing of it is there unless the environment switches it on before the first import, which only tests do:
HOLDFAST_FAILPOINTS names points, each with the number of its passing when that is not the first one
("store.before_commit,send.after:3"), and HOLDFAST_FAILPOINTS_FOLDER a folder that gets an empty file of the point's
name as the process dies, by SIGKILL. Nobody dies of a point whose file is there, so that a process that is started
again goes on.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

POINTS_VARIABLE: Final = "HOLDFAST_FAILPOINTS"
FOLDER_VARIABLE: Final = "HOLDFAST_FAILPOINTS_FOLDER"


class Write(StrEnum):
    """A transaction that changes the ledger: a failpoint before its commit, and another after it."""

    MIGRATION = "migration"
    ACCOUNTS = "accounts"
    PLAN_FIRE = "plan_fire"
    PLAN_GAPS = "plan_gaps"
    REQUEST = "request"
    BACKFILL = "backfill"
    QUEUE = "queue"
    QUEUE_AGAIN = "queue_again"
    HINTS_GONE = "hints_gone"
    PUT_BACK = "put_back"
    REDIS_RUN_ID = "redis_run_id"
    CLAIM = "claim"
    CLAIM_DIRECT = "claim_direct"
    RENEW = "renew"
    STORE = "store"
    FAIL = "fail"
    HAND_BACK = "hand_back"
    TAKE_BACK = "take_back"
    CANCEL = "cancel"
    FLEET_BEAT = "fleet_beat"
    FLEET_LEAVE = "fleet_leave"
    HOLD = "hold"
    RELEASE = "release"
    OUTDATE = "outdate"
    FORGET = "forget"
    SUMS = "sums"
    JOURNAL = "journal"
    ALERT = "alert"
    TAKE_ALERT = "take_alert"
    ALERT_SENT = "alert_sent"
    CREDENTIALS_TURN = "credentials_turn"
    CREDENTIALS_FOUND = "credentials_found"
    LOOK = "look"
    BUDGET = "budget"
    TAKE_NOTICE = "take_notice"
    NOTICE_SENT = "notice_sent"


class Point(StrEnum):
    """A failpoint that is no commit."""

    SEND_BEFORE = "send.before"
    SEND_AFTER = "send.after"
    MARKER_BEFORE = "marker.before"
    MARKER_AFTER = "marker.after"
    FETCH_BEGUN = "fetch.begun"
    FETCHED = "fetch.done"
    ACK_BEFORE = "ack.before"
    ACK_AFTER = "ack.after"
    REQUEUE_BEFORE = "requeue.before"
    REQUEUE_AFTER = "requeue.after"


def before_commit(write: Write) -> str:
    """The point just before the commit."""
    return f"{write}.before_commit"


def after_commit(write: Write) -> str:
    """The point just after the commit, when nobody has been told of it."""
    return f"{write}.after_commit"


ALL: Final = frozenset({*Point, *map(before_commit, Write), *map(after_commit, Write)})


def switched_on(environment: Mapping[str, str], die: Callable[[], None]) -> Callable[[str], None] | None:
    """What to call at each point, None when nothing is switched on. Raises ValueError for an unknown point."""
    wanted = _parsed(environment.get(POINTS_VARIABLE, ""))
    if not wanted:
        return None
    folder = Path(environment[FOLDER_VARIABLE])
    passed: Counter[str] = Counter()
    lock = threading.Lock()

    def at(point: str) -> None:
        if point not in wanted:
            return
        with lock:
            passed[point] += 1
            if passed[point] == wanted[point] and _first(folder / point):
                die()

    return at


def _parsed(text: str) -> dict[str, int]:
    wanted = {}
    for part in filter(None, text.split(",")):
        point, _, passing = part.partition(":")
        if point not in ALL:
            raise ValueError(f"{POINTS_VARIABLE}: there is no point {point!r}")
        wanted[point] = int(passing or 1)
    return wanted


def _first(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pass_by(_point: str) -> None:
    pass


reached: Callable[[str], None] = switched_on(os.environ, _die) or _pass_by
