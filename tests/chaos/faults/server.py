"""A server that is there and cannot serve: read-only, full, busy, loading, restarted, forgetful."""

import contextlib
import threading
from collections.abc import Iterator

import redis as redis_py

from tests.chaos.fault import HANG_S, Expect, Fault, closed, redis_says
from tests.chaos.rig import Rig
from tests.chaos.ways import DIRECT
from tests.support.system import free_port
from tests.support.waiting import wait_for

TWO_MINUTES_S = 121.0
SERVES = frozenset({200})


def limited(code: str) -> Expect:
    """Connected, reading still works, writing does not."""
    return Expect(redis_says(code), HANG_S, strict=SERVES)


def read_only(rig: Rig) -> Iterator[None]:
    rig.admin.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    yield
    rig.admin.execute_command("REPLICAOF", "NO", "ONE")


def master_down(rig: Rig) -> Iterator[None]:
    rig.admin.config_set("replica-serve-stale-data", "no")
    rig.admin.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
    yield
    rig.admin.execute_command("REPLICAOF", "NO", "ONE")
    rig.admin.config_set("replica-serve-stale-data", "yes")


def out_of_memory(rig: Rig) -> Iterator[None]:
    rig.admin.config_set("maxmemory", 1)
    yield
    rig.admin.config_set("maxmemory", 0)


def cannot_save(rig: Rig) -> Iterator[None]:
    rig.admin.config_set("save", "3600 1")
    dump = rig.redis.folder / "dump.rdb"
    dump.mkdir()  # cannot be replaced by a file, whoever runs the server
    rig.admin.bgsave()
    wait_for(lambda: rig.admin.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "the save to fail")
    rig.happens_now()
    yield
    dump.rmdir()
    rig.admin.bgsave()
    wait_for(lambda: rig.admin.info("persistence")["rdb_last_bgsave_status"] == "ok", 10, "the save to succeed")


def no_room_for_clients(rig: Rig) -> Iterator[None]:
    most = str(rig.admin.config_get("maxclients")["maxclients"])
    rig.admin.config_set("maxclients", 1)
    rig.happens_now()
    rig.kill_clients()
    yield
    rig.admin.config_set("maxclients", most)


def busy(rig: Rig) -> Iterator[None]:
    rig.admin.config_set("lua-time-limit", 100)

    def endless(_stop: threading.Event) -> None:
        with (
            redis_py.Redis(port=rig.redis.port, socket_timeout=60) as client,
            contextlib.suppress(redis_py.ResponseError),
        ):
            client.eval("while true do end", 0)

    with rig.meanwhile("a script without an end", endless):
        yield
        wait_for(lambda: _killed(rig), 10, "the script to be ended")


def _killed(rig: Rig) -> bool:
    try:
        return bool(rig.admin.script_kill())
    except redis_py.ResponseError as error:
        return "NOTBUSY" in str(error)


def paused(rig: Rig) -> Iterator[None]:
    rig.admin.client_pause(5000, all=True)
    yield
    rig.admin.ping()  # answered when the pause is over: nobody can end it sooner


def clients_killed(rig: Rig) -> Iterator[None]:
    rig.kill_clients()
    yield


def idle_clients_closed(rig: Rig) -> Iterator[None]:
    rig.admin.config_set("timeout", 1)
    yield
    rig.admin.config_set("timeout", 0)


def flapping(rig: Rig) -> Iterator[None]:
    def flap(stop: threading.Event) -> None:
        there = True
        while not stop.is_set():
            if there:
                rig.redis.kill()
            else:
                rig.redis.start()
            there = not there
            stop.wait(1.0)
        if not there:
            rig.redis.start()

    with rig.meanwhile("flapping", flap):
        yield


GONE = ("CONNECTION_REFUSED", "CONNECTION_CLOSED")

FAULTS = (
    Fault("oom", "no memory is left for writes", out_of_memory, limited("OOM"), DIRECT, short=True),
    Fault("misconf", "the server cannot save to its disk and refuses writes", cannot_save, limited("MISCONF"), DIRECT),
    Fault(
        "read-only",
        "the server becomes a replica",
        read_only,
        Expect(redis_says("READONLY"), HANG_S),
        DIRECT,
        TWO_MINUTES_S,
    ),
    Fault(
        "read-only-short",
        "the same for some seconds",
        read_only,
        Expect(redis_says("READONLY"), HANG_S),
        DIRECT,
        short=True,
    ),
    Fault(
        "master-down",
        "the server becomes a replica whose master is down, and serves nothing",
        master_down,
        Expect(redis_says("MASTERDOWN"), HANG_S),
        DIRECT,
    ),
    Fault(
        "maxclients",
        "the server closes every connection and has no room for another",
        no_room_for_clients,
        closed("MAXCLIENTS"),
        DIRECT,
    ),
    Fault(
        "busy", "the server runs a script without an end", busy, Expect(redis_says("BUSY", "TIMEOUT"), HANG_S), DIRECT
    ),
    Fault("paused", "the server pauses its clients for 5 s", paused, Expect(redis_says("TIMEOUT"), HANG_S), DIRECT),
    Fault(
        "clients-killed",
        "the server closes every connection, once",
        clients_killed,
        closed("CONNECTION_CLOSED"),
        DIRECT,
        momentary=True,
    ),
    Fault(
        "idle-closed",
        "the server closes whatever has been idle for a second",
        idle_clients_closed,
        Expect(None, None, strict=SERVES),
        DIRECT,
    ),
    Fault(
        "flapping",
        "the server is killed and started again, a second down and a second up",
        flapping,
        closed(*GONE),
        DIRECT,
        TWO_MINUTES_S,
        spoils=True,
    ),
)
