"""`holdfast accounts` and `holdfast accounts check` on a real ledger, with a provider that does as a file says."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from shared.core.credentials import CredentialStatus, Finding
from shared.core.days import last_complete_days
from shared.ledger.accounts import sync_accounts
from shared.ledger.credentials import begin_check, read_credentials, record_finding
from shared.ledger.holds import hold_account
from tests.support import signing
from tests.support.cli import Outcome, called, settle
from tests.support.exports import focus_account, write_exports
from tests.support.ledger import collected, cost_row
from tests.support.system import free_port

pytestmark = pytest.mark.integration

DAYS = last_complete_days(datetime.now(UTC), 2)


@dataclass(frozen=True)
class Shell:
    folder: Path
    call: Callable[..., Outcome]

    def accounts(self, *tables: str) -> None:
        (self.folder / "accounts.toml").write_text("".join(tables))

    def tell(self, account: str, what: str) -> None:
        (self.folder / account).write_text(what)


def aws(name: str, account_id: str, **more: str) -> str:
    extra = "".join(f"{field} = {value}\n" for field, value in more.items())
    return f'[[account]]\nname = "{name}"\nprovider = "aws"\naccount_id = "{account_id}"\n{extra}'


PAYER, LAB = aws("payer", "111111111111"), aws("lab", "222222222222")


@pytest.fixture
def shell(database_url, tmp_path, monkeypatch, capsys) -> Shell:
    settle(tmp_path, monkeypatch, database_url)
    monkeypatch.setenv("SIGNING", str(tmp_path))
    monkeypatch.setattr("shared.costs.provider.PROVIDERS", signing.replaced())

    return Shell(tmp_path, partial(called, capsys))


def find(db, name, found):
    known = next(each for each in read_credentials(db).credentials if each.account == name)
    turn = begin_check(db, known)
    assert turn is not None
    record_finding(db, known.account_id, turn, found)


def test_the_list_says_who_collects_whom_workers_sign_in_as_and_how_far_costs_reach(shell, database):
    names = [("payer", "aws", False), ("lab", "aws", True), ("files", "focus", False), ("gone", "focus", False)]
    sync_accounts(database, names)
    collected(database, "files", DAYS, [cost_row(day) for day in DAYS])
    sync_accounts(database, names[:3])
    hold_account(database, "files")
    find(database, "payer", Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "The session has expired", "Renew it"))
    told = shell.call("accounts")
    assert told.code == 0
    rows = [line.split() for line in told.out.splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["files", "focus", "held", "not"],
        ["gone", "focus", "removed", "not"],
        ["lab", "aws", "paused", "not"],
        ["payer", "aws", "active", "refused"],
    ]
    assert rows[0][-1] == DAYS.end.isoformat()
    assert told.err == "payer: AWS_EXPIRED: The session has expired; Renew it\n"
    document = shell.call("accounts", "--json").document
    assert [each["account"] for each in document["accounts"]] == ["files", "gone", "lab", "payer"]
    assert document["accounts"][3]["credentials"]["code"] == "AWS_EXPIRED"
    assert document["accounts"][0]["lastCompleteDay"] == DAYS.end.isoformat()


def test_without_accounts_it_says_where_they_come_from(shell):
    told = shell.call("accounts")
    assert (told.code, told.out) == (0, "")
    assert "accounts file" in told.err


def test_all_mistakes_of_the_file_are_told_at_once(shell):
    shell.accounts(aws("payer", "12"), '[[account]]\nname = "x"\nprovider = "gcp"\n')
    told = shell.call("accounts", "check")
    assert (told.code, told.out) == (2, "")
    assert "field 'account_id'" in told.err
    assert "field 'provider'" in told.err


def test_who_signs_in_is_told_by_name_and_nothing_wrong_is_0(shell):
    shell.accounts(PAYER)
    told = shell.call("accounts", "check")
    assert told.code == 0
    assert told.out.splitlines() == [
        "accounts.toml: 1 account, no mistakes",
        "payer: signed in as arn:aws:iam::111111111111:role/reader",
    ]


def test_a_refused_account_is_told_with_its_cure_and_the_others_are_checked_all_the_same(shell):
    shell.accounts(PAYER, LAB)
    shell.tell("payer", "refused")
    told = shell.call("accounts", "check")
    assert told.code == 1
    assert "payer: refused (AWS_EXPIRED): The session has expired. Renew the role's session." in told.out
    assert "lab: signed in as" in told.out
    assert shell.call("accounts", "check", "--account", "lab").code == 0
    unknown = shell.call("accounts", "check", "--account", "nobody")
    assert (unknown.code, unknown.out) == (2, "")


def test_overlaps_are_found_in_the_file_on_the_disk_and_in_stored_costs(shell, database):
    write_exports(shell.folder / "exports", DAYS)
    files = (focus_account("files", "exports/*.csv"), focus_account("copy", f"{shell.folder}/exports/*.csv"))
    shell.accounts(PAYER, LAB, *files)
    sync_accounts(database, [("payer", "aws", False), ("lab", "aws", False)])
    collected(database, "payer", DAYS, [cost_row(day, sub_account="222222222222") for day in DAYS])
    told = shell.call("accounts", "check", "--json")
    assert told.code == 1
    found = [overlap["accounts"] for overlap in told.document["overlaps"]]
    assert found == [["files", "copy"], ["payer", "lab"]]
    assert told.document["storedCostsLookedThrough"]
    assert {each["status"] for each in told.document["accounts"]} == {"up"}
    assert "files: needs no credentials" in shell.call("accounts", "check", "--account", "files").out


def test_a_trial_says_its_price_and_is_not_made_unasked_without_a_terminal(shell, monkeypatch):
    shell.accounts(PAYER)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    told = shell.call("accounts", "check", "--trial")
    assert (told.code, told.out) == (2, "")
    assert "--yes" in told.err
    told = shell.call("accounts", "check", "--trial", "--yes")
    assert told.code == 0
    assert f"payer: a trial of {DAYS.end} takes 1 to 2 requests, 0.01 to 0.02 USD" in told.err
    assert f"payer: trial of {DAYS.end}: 1 row, 1.25 USD" in told.out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "made"), [("y\n", True), ("\n", False), ("no\n", False)])
def test_on_a_terminal_a_trial_is_asked_for(shell, monkeypatch, answer, made):
    shell.accounts(PAYER, LAB)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    told = shell.call("accounts", "check", "--trial")
    assert told.code == 0
    assert "Together 2 to 4 requests, 0.02 to 0.04 USD. Go on?" in told.err
    assert (": trial of" in told.out) is made
    assert ("No trial was made." in told.err) is not made


def test_a_trial_that_fails_is_told_and_a_refused_account_is_not_tried(shell):
    shell.accounts(PAYER, LAB)
    shell.tell("payer", "refused")
    told = shell.call("accounts", "check", "--trial", "--yes", "--json")
    assert told.code == 1
    payer, lab = told.document["accounts"]
    assert (payer["trial"], lab["trial"]["totals"]) == (
        None,
        [{"currency": "USD", "billed": "1.25", "effective": "1"}],
    )


def test_files_are_tried_without_a_question_since_they_cost_nothing(shell):
    write_exports(shell.folder / "exports", DAYS)
    shell.accounts(focus_account("files", "exports/*.csv"))
    told = shell.call("accounts", "check", "--trial")
    assert told.code == 0
    assert f"files: trial of {DAYS.end}:" in told.out


def test_with_the_database_away_the_rest_is_checked(shell, monkeypatch):
    shell.accounts(PAYER)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    told = shell.call("accounts", "check")
    assert told.code == 0
    assert "the database is away" in told.err
    assert "payer: signed in as" in told.out
