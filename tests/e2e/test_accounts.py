"""Accounts while all three processes run: added, edited, refused, paused, removed, and a file with a mistake."""

from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import pytest

from shared.core.days import last_complete_days
from tests.support.exports import focus_account, write_exports
from tests.support.redis_server import RedisServer
from tests.support.system import NAMES, System, running_system
from tests.support.waiting import wait_for, wait_none

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(900)]

PATIENCE_S = 180.0
DEADLINE_S = "1"


def aws(name: str, *, account_id: str = "111111111111", paused: bool = False) -> str:
    return (
        f'[[account]]\nname = "{name}"\nprovider = "aws"\naccount_id = "{account_id}"\n'
        f"paused = {'true' if paused else 'false'}\n"
    )


class Installation:
    """Three processes whose accounts sign in as files say."""

    def __init__(self, folder: Path, system: System) -> None:
        self.folder = folder
        self.system = system

    def accounts(self, *tables: str) -> None:
        """Rename a new file into place."""
        written = self.folder / "accounts.new"
        written.write_text("".join(tables))
        written.replace(self.folder / "accounts.toml")

    def tell(self, account: str, what: str) -> None:
        written = self.folder / f"{account}.new"
        written.write_text(what)
        written.replace(self.folder / account)

    def check(self, process: str, name: str = "awsCredentials"):
        return self.system.ready(process)["checks"][name]

    def wait_check(self, status: str, part: str = "", *, name: str = "awsCredentials") -> None:
        """Wait until every process says so."""

        def others() -> list[str]:
            told = {process: self.told(process, name) for process in NAMES}
            return [
                f"{process}: {found}"
                for process, found in told.items()
                if found.get("status") != status or part not in found.get("message", "")
            ]

        wait_none(others, PATIENCE_S)

    def told(self, process: str, name: str):
        """The check; nothing of a process that a busy machine keeps from answering."""
        with suppress(OSError, HTTPException):
            return self.check(process, name)
        return {}

    def standing(self, account: str):
        every = self.system.api("/api/v1/accounts").body["accounts"]
        return next((each for each in every if each["account"] == account), None)

    def collect(self, account: str):
        asked = self.system.api("/api/v1/runs", method="POST", payload={"account": account})
        assert asked.status == 202, asked
        run = asked.body["runs"][0]["id"]
        ended = {"succeeded", "failed", "cancelled"}

        def outcome():
            found = self.system.api(f"/api/v1/runs/{run}").body
            return found if found["state"] in ended else None

        return wait_for(outcome, PATIENCE_S, f"the run of {account} to end")


@pytest.fixture
def installation(tmp_path, request):
    """On SQLite; `database_url` in a test's arguments has it on each."""
    database_url = request.getfixturevalue("database_url") if "database_url" in request.fixturenames else None
    write_exports(tmp_path / "exports", last_complete_days(datetime.now(UTC), 7))
    environment = {"SIGNING": str(tmp_path), "SIGN_IN_DEADLINE_S": DEADLINE_S, "COST_LOOKBACK_DAYS": "1"}
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        system = stack.enter_context(
            running_system(
                tmp_path,
                redis_url=redis.url,
                database_url=database_url,
                environment=environment,
                modules={"worker": "tests.support.signing_worker"},
            )
        )
        yield Installation(tmp_path, system)


def exports(installation: Installation) -> str:
    return focus_account("exports", f"{installation.folder}/exports/*.csv")


def test_an_account_is_added_refused_cured_paused_and_removed_while_everything_runs(installation, database_url):
    system, files = installation.system, exports(installation)
    installation.accounts(files)
    system.start()
    system.wait_serving(PATIENCE_S)
    installation.wait_check("unused", "Not configured")

    installation.accounts(files, aws("payer"))
    installation.wait_check("up", "1 account signed in")
    assert installation.collect("payer")["state"] == "succeeded"

    # A run that is refused has its account checked at once, and every process says so.
    installation.tell("payer", "refused")
    run = installation.collect("payer")
    assert (run["state"], run["error"]["code"]) == ("failed", "AWS_EXPIRED")
    installation.wait_check("degraded", "payer: refused since ")
    for process in NAMES:
        assert system.ready(process)["status"] == "degraded"
        told = system[process].probe("/health/dependencies").body["awsCredentials"]
        (account,) = told["accounts"]
        assert (account["account"], account["status"], account["code"]) == ("payer", "down", "AWS_EXPIRED")
        assert account["hint"] == "Renew the role's session"
        assert account["since"] <= account["checkedAt"]
        metrics = system[process].probe("/metrics").body
        assert b'holdfast_credentials{provider="aws",status="down"} 1.0' in metrics
    assert installation.standing("payer")["credentials"]["status"] == "down"

    # Editing it has it checked at once.
    installation.tell("payer", "ok")
    installation.accounts(files, aws("payer", account_id="222222222222"))
    installation.wait_check("up")
    lines = system["worker"].lines()
    for text in ("Credentials: The account is refused", "Credentials: The account is well again"):
        assert len([line for line in lines if text in line]) == 1

    # A mistake leaves the list of before in use, one error line in each process that reads it.
    installation.accounts(files, aws("payer"), '[[account]]\nname = "new"\nprovider = "aws"\naccount_id = "12"\n')
    system.wait_said("Accounts file is wrong", PATIENCE_S)
    installation.accounts(files, aws("payer"), aws("second", account_id="333333333333"))
    installation.wait_check("up", "2 accounts signed in")
    for process in NAMES:
        assert len([line for line in system[process].lines() if "Accounts file is wrong" in line]) == 1
    assert installation.standing("new") is None

    # Paused: nobody signs in, nothing is said of it, and a request without an account leaves it out.
    installation.tell("second", "refused")
    installation.accounts(files, aws("payer", paused=True), aws("second", account_id="333333333333", paused=True))
    installation.wait_check("unused", "All accounts are paused")
    asked = system.api("/api/v1/runs", method="POST", payload={})
    assert {run["account"] for run in asked.body["runs"]} == {"exports"}

    # Removed: it vanishes from readiness, and its history stays.
    installation.accounts(files)
    installation.wait_check("unused", "Not configured")
    wait_for(lambda: installation.standing("payer")["removed"], PATIENCE_S, "the account to be removed")
    assert installation.standing("payer")["lastCompleteDay"] is not None
    costs = system.api("/api/v1/costs?account=payer&groupBy=account").body
    assert [row["account"] for row in costs["rows"]] == ["payer"]

    # And back again, with its history.
    installation.accounts(files, aws("payer"))
    installation.wait_check("up", "1 account signed in")
    assert installation.standing("payer")["removed"] is False
    assert [line for line in system["worker"].lines() if "Traceback" in line] == []
    assert set(system.stop().values()) == {0}


def test_sign_ins_that_hang_hold_up_nothing_else(installation):
    system, files = installation.system, exports(installation)
    names = [f"stuck{number}" for number in range(6)]
    for name in names:
        installation.tell(name, "hang")
    payers = [aws(name, account_id=f"{number:012}") for number, name in enumerate(names)]
    installation.accounts(files, *payers)
    system.start()
    system.wait_serving(PATIENCE_S)
    installation.wait_check("degraded", "SIGN_IN_TIMEOUT")
    system.wait_said("Credentials: Sign-ins hang", PATIENCE_S, name="worker")
    assert installation.collect("exports")["state"] == "succeeded"
    # As many as may hang, and no more, however long it lasts.
    calls = sum(len((installation.folder / f"{name}.calls").read_text().split()) for name in names[:4])
    assert calls == 4
    assert not (installation.folder / "stuck5.calls").exists()
    assert system["worker"].probe("/health/live").status == 200
    for name in names:
        installation.tell(name, "ok")
    installation.wait_check("up", "6 accounts signed in")
    assert len([line for line in system["worker"].lines() if "Sign-ins hang" in line]) == 1
    assert set(system.stop().values()) == {0}


def test_a_worker_that_is_stopped_while_a_sign_in_hangs_ends_in_time(installation):
    installation.tell("stuck", "hang")
    installation.accounts(aws("stuck"))
    system = installation.system
    system.environment["SIGN_IN_DEADLINE_S"] = "300"
    system.start("worker")
    system.wait_serving(PATIENCE_S)
    wait_for((installation.folder / "stuck.calls").exists, PATIENCE_S, "a sign-in to begin")
    assert set(system.stop().values()) == {0}


def test_with_the_database_away_checks_wait_quietly_and_go_on_when_it_is_back(tmp_path, own_server):
    (tmp_path / "accounts.toml").write_text(aws("payer"))
    environment = {"SIGNING": str(tmp_path), "SIGN_IN_DEADLINE_S": DEADLINE_S}
    with (
        RedisServer() as redis,
        running_system(
            tmp_path,
            redis_url=redis.url,
            database_url=own_server.url(),
            environment=environment,
            modules={"worker": "tests.support.signing_worker"},
        ) as system,
    ):
        installation = Installation(tmp_path, system)
        system.start()
        system.wait_serving(PATIENCE_S)
        installation.wait_check("up")
        own_server.kill()
        system.wait_said("Database: Lost", PATIENCE_S)
        # The last word holds until it is old; nobody signs in for a result that nobody could keep.
        assert installation.check("worker")["status"] == "up"
        calls = (tmp_path / "payer.calls").read_text()
        installation.tell("payer", "refused")
        installation.accounts(aws("payer", account_id="222222222222"))
        system.wait_said("Accounts file read again", PATIENCE_S, name="worker")
        assert (tmp_path / "payer.calls").read_text() == calls
        own_server.start()
        installation.wait_check("degraded", "payer: refused since ")
        assert not [line for line in system["worker"].lines() if "An error was caught" in line or "Traceback" in line]
        assert set(system.stop().values()) == {0}
