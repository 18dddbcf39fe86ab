"""What any process shows of the credentials in the ledger: from memory, for the accounts that its file names."""

import os
from typing import Any

import pytest

from shared.bootstrap.credentials import REMEMBERED_S, CredentialsUpkeep
from shared.core.credentials import CHECK_INTERVAL_S, UP, CredentialStatus, Finding
from shared.core.health import CheckStatus, RedisHealth
from shared.costs.accounts import AwsAccount, AzureAccount
from shared.ledger.accounts import sync_accounts
from shared.ledger.credentials import TEXT_CHARS, begin_check, read_credentials, record_finding
from shared.ledger.database import Database
from shared.ledger.holds import hold_account
from shared.ledger.migrate import Migrator
from shared.observability import metrics
from shared.probes.bodies import LISTED, dependencies_body
from workers.board import MAX_DATAGRAM_BYTES
from workers.facts import ChildFacts, Intake, Phase, encode

pytestmark = pytest.mark.integration

PAYER = AwsAccount(name="payer", provider="aws", account_id="111111111111")
LAB = AwsAccount(name="lab", provider="aws", account_id="222222222222")
PROD = AzureAccount(name="prod", provider="azure", scope="/subscriptions/1")
REFUSED = Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "The session has expired", "Renew it")


class Shown:
    """A process's view, whose accounts file and clock a test moves."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.known: tuple[Any, ...] = ()
        self.now_s = 1000.0
        migrator = Migrator(db)
        migrator.start()
        assert migrator.wait_ready(60)
        self.upkeep = CredentialsUpkeep(db, migrator, lambda: self.known, clock=lambda: self.now_s)

    def configure(self, *accounts: Any) -> None:
        self.known = accounts
        sync_accounts(self.db, [(each.name, each.provider, each.paused) for each in accounts])

    def find(self, name: str, found: Finding) -> None:
        known = next(each for each in read_credentials(self.db).credentials if each.account == name)
        turn = begin_check(self.db, known)
        assert turn is not None
        assert record_finding(self.db, known.account_id, turn, found)

    def read(self) -> None:
        self.upkeep.turn()

    def aws(self) -> tuple[CheckStatus, str]:
        check = self.upkeep.answers()["awsCredentials"].check
        return check.status, str(check.message)


@pytest.fixture
def shown(database):
    return Shown(database)


def test_without_such_an_account_the_ledger_is_not_even_asked(shown):
    shown.read()
    assert shown.aws() == (CheckStatus.UNUSED, "Not configured")


def test_an_account_is_not_checked_yet_until_it_is_and_then_what_was_found(shown):
    shown.configure(PAYER, PROD)
    assert shown.aws() == (CheckStatus.DEGRADED, "payer: not checked yet")
    shown.find("payer", UP)
    shown.read()
    assert shown.aws() == (CheckStatus.UP, "1 account signed in")
    assert shown.upkeep.answers()["azureCredentials"].check.message == "prod: not checked yet"
    page = metrics.render().decode()
    assert 'holdfast_credentials{provider="aws",status="up"} 1.0' in page
    assert 'holdfast_credentials{provider="azure",status="degraded"} 1.0' in page


def test_an_old_up_is_never_shown_when_nobody_refreshes_it(shown):
    shown.configure(PAYER)
    shown.find("payer", UP)
    shown.read()
    shown.now_s += 3 * CHECK_INTERVAL_S - 60
    assert shown.aws()[0] is CheckStatus.UP
    shown.now_s += 120
    status, message = shown.aws()
    assert status is CheckStatus.DEGRADED
    assert message.startswith("payer: stale, last checked ")


def test_an_account_vanishes_as_soon_as_the_file_names_it_no_more(shown):
    shown.configure(PAYER, LAB)
    shown.find("payer", REFUSED)
    shown.find("lab", UP)
    shown.read()
    assert shown.aws()[0] is CheckStatus.DEGRADED
    shown.known = (LAB,)
    assert shown.aws() == (CheckStatus.UP, "1 account signed in")
    shown.known = ()
    assert shown.aws() == (CheckStatus.UNUSED, "Not configured")


def test_paused_and_held_accounts_are_left_out(shown):
    shown.configure(PAYER, LAB.model_copy(update={"paused": True}))
    shown.find("payer", REFUSED)
    shown.read()
    assert shown.aws()[1].startswith("payer: refused")
    hold_account(shown.db, "payer")
    shown.read()
    assert shown.aws() == (CheckStatus.UNUSED, "All accounts are paused")


def test_answers_are_remembered_for_a_moment_and_worked_out_anew_after_each_reading(shown):
    shown.configure(PAYER)
    shown.read()
    first = shown.upkeep.answers()
    assert shown.upkeep.answers() is first
    shown.now_s += REMEMBERED_S
    assert shown.upkeep.answers() is not first
    shown.find("payer", UP)
    shown.read()
    assert shown.aws()[0] is CheckStatus.UP


def test_a_worker_process_can_tell_its_launcher_of_many_refused_accounts(shown):
    aws = [PAYER.model_copy(update={"name": f"aws {number:03} " + "\u00fc" * 90}) for number in range(LISTED + 1)]
    azure = [PROD.model_copy(update={"name": f"azure {number:03} " + "\u00fc" * 90}) for number in range(LISTED + 1)]
    accounts = [*aws, *azure]
    shown.configure(*accounts)
    long = Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "s" * TEXT_CHARS, "h" * TEXT_CHARS)
    for account in accounts:
        shown.find(account.name, long)
    shown.read()
    answers = shown.upkeep.answers()
    checks = {name: answer.check for name, answer in answers.items()}
    body = dependencies_body(
        RedisHealth("disconnected", is_open=False),
        {},
        {"database": checks["awsCredentials"], **checks},
        (),
        credentials={name: answer.credentials for name, answer in answers.items()},
    )
    facts = ChildFacts(
        pid=os.getpid(),
        master_pid=1,
        phase=Phase.WORKING,
        intake=Intake.QUEUE,
        beats={},
        threads=1,
        expected_threads=1,
        runs=0,
        checks=checks,
        dependencies=body,
    )
    assert len(encode(facts)) < 0.75 * MAX_DATAGRAM_BYTES
