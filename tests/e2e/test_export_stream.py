"""An export while the database dies, the client leaves or the API is told to end: whole, or seen not to be."""

import contextlib
import csv
import io
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from http.client import HTTPConnection, HTTPException

import pytest

from shared.core.days import DayRange
from shared.costs.focus.provider import FocusProvider
from shared.ledger.database import Database
from shared.ledger.migrate import upgrade
from shared.ledger.money import total
from tests.support.exports import focus_account
from tests.support.large_ledger import ACCOUNT, fill
from tests.support.redis_server import free_port
from tests.support.system import running_system
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(300)]

DAYS = DayRange(date(2026, 1, 1), date(2026, 1, 20))
ROWS_A_DAY = 10_000
# Some 28 MB as CSV: more than the API and the kernel keep for a client that takes nothing.
PATH = f"/api/v1/costs/export?start={DAYS.start}&end={DAYS.end}"
READ = 262_144


@contextlib.contextmanager
def serving(tmp_path, url, **environment):
    (tmp_path / "accounts.toml").write_text(focus_account(ACCOUNT, "exports/*.csv"))
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    with running_system(tmp_path, redis_url=nowhere, database_url=url, environment=environment) as system:
        system.start("status_api").wait_serving()
        wait_for(lambda: system.api("/api/v1/coverage").status == 200, 30, "the API to answer from the database")
        yield system


def filled(url):
    db = Database(url)
    try:
        upgrade(db)
        return fill(db, DAYS, ROWS_A_DAY)
    finally:
        db.dispose()


class Reader:
    """Asks for an export and takes its first bytes only, until told to read on."""

    def __init__(self, system, path=PATH):
        self.connection = HTTPConnection("127.0.0.1", system["status_api"].port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self.connection.request("GET", path, headers={"Host": "127.0.0.1"})
        self.answer = self.connection.getresponse()
        self.body = bytearray(self.answer.read(1))

    def rest(self):
        """The whole body. Raises when the connection ends before it does."""
        while data := self.answer.read(READ):
            self.body += data
        self.connection.close()
        return bytes(self.body)

    def leave(self):
        self.answer.close()
        self.connection.close()


def whole(system):
    """An export's body; None when its place is not free yet, or this machine was too busy to take it in time."""
    with contextlib.suppress(HTTPException, OSError):
        reader = Reader(system)
        return reader.rest() if reader.answer.status == 200 else reader.leave()
    return None


def bodies(*readers):
    """What is left of each, taken at the same time: whoever takes nothing for 15 s is given up."""
    with ThreadPoolExecutor(len(readers)) as pool:
        return list(pool.map(Reader.rest, readers))


def billed(body):
    return total(Decimal(row["BilledCost"]) for row in csv.DictReader(io.StringIO(body.decode())))


def idle_in_transaction(url):
    db = Database(url)
    try:
        with db.read() as connection:
            idle = "state = 'idle in transaction' AND datname = current_database()"
            return connection.exec_driver_sql(f"SELECT count(*) FROM pg_stat_activity WHERE {idle}").scalar_one()
    finally:
        db.dispose()


def test_a_database_that_dies_in_the_middle_is_seen_by_the_client(tmp_path, own_server):
    url = own_server.create_database()
    expected = filled(url)
    with serving(tmp_path, url) as system:
        api = system["status_api"]
        reader = Reader(system)
        assert reader.answer.status == 200
        own_server.kill()
        with pytest.raises((HTTPException, OSError)):
            reader.rest()
        assert len(reader.body) > 0
        system.wait_said("An export was cut off")
        assert api.process.poll() is None
        assert not api.said("Traceback")
        assert system.api(PATH, timeout_s=60).status == 503
        own_server.start()
        wait_for(lambda: system.api("/api/v1/coverage").status == 200, 60, "the API to be back")
        # Both places are free, and the whole comes.
        first, second = Reader(system), Reader(system)
        third = system.api(PATH)
        assert (third.status, third.headers["retry-after"]) == (503, "5")
        first.leave()
        second.leave()
        assert billed(wait_for(lambda: whole(system), 120, "an export to arrive whole")) == expected


def test_who_leaves_frees_everything_and_who_stays_gets_the_whole(tmp_path, database_url):
    expected = filled(database_url)
    with serving(tmp_path, database_url, SHUTDOWN_GRACE_S="120") as system:
        api = system["status_api"]
        for _ in range(3):
            leaving = [Reader(system), Reader(system)]
            for reader in leaving:
                reader.leave()
            wait_for(lambda: places_free(system), 60, "both places to be free")
        if database_url.startswith("postgresql"):
            wait_for(lambda: not idle_in_transaction(database_url), 30, "every transaction to end")
        assert head(system) == b""
        assert one_dot_oh(system) == (True, True)
        parquet = Reader(system, f"{PATH}&format=parquet")
        staying = Reader(system)
        api.process.send_signal(signal.SIGTERM)
        wait_for(lambda: api.probe("/health/ready").body.get("draining"), 20, "the drain to begin")
        rows_taken, file_taken = bodies(staying, parquet)
        assert billed(rows_taken) == expected
        (tmp_path / "large.parquet").write_bytes(file_taken)
        rows = FocusProvider(str(tmp_path / "large.parquet"), memory_limit_mb=512).fetch(DAYS).rows
        assert total(row.billed for row in rows) == expected
        assert api.process.wait(60) == 0
        assert not api.said("Connections were cut")
        assert not api.said("Traceback")


def places_free(system):
    """Whether two exports may begin; they are left again."""
    readers = [Reader(system), Reader(system)]
    found = [reader.answer.status for reader in readers]
    for reader in readers:
        reader.leave()
    return found == [200, 200]


def raw(system, request):
    """All that comes for a request, until the connection ends."""
    with socket.create_connection(("127.0.0.1", system["status_api"].port), 60) as connection:
        connection.sendall(request.encode())
        found = bytearray()
        while data := connection.recv(READ):
            found += data
    head_part, _, body = bytes(found).partition(b"\r\n\r\n")
    return head_part.decode().lower(), body


def head(system):
    """What follows the head of an answer to HEAD."""
    found, body = raw(system, f"HEAD {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert found.startswith("http/1.1 200")
    assert "content-length" not in found
    return body


def one_dot_oh(system):
    """Whether an answer to HTTP/1.0 states its length, and has it."""

    def answered():
        found, body = raw(system, f"GET {PATH} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        return (found, body) if " 200 " in found.partition("\r\n")[0] else None

    found, body = wait_for(answered, 60, "a place to be free") or ("", b"")
    return "content-length:" in found, f"content-length: {len(body)}" in found
