"""Which accounts a worker process checks, in which order, and what it says of the results."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core.credentials import UNKNOWN, UP, Credential, CredentialStatus, Finding
from shared.core.errors import ProviderError
from shared.costs.accounts import AwsAccount
from shared.costs.sign_in import SignIns
from shared.ledger.credentials import CredentialsSeen, Recorded
from tests.support.logs import captured
from workers.credentials import ABANDONED_S, Agenda, CredentialChecks, tell

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
REFUSED = Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "The session has expired", "Renew it")


def credential(account: str = "payer", found: Finding = UP, *, checked_s: float = 10, turn: int = 2) -> Credential:
    at = NOW - timedelta(seconds=checked_s)
    return Credential(int.from_bytes(account.encode()), account, "aws", found, at, at, turn)


def seen(*credentials: Credential, now: datetime = NOW) -> CredentialsSeen:
    return CredentialsSeen(now, credentials)


def names(agenda: Agenda, found: CredentialsSeen, now_s: float = 0.0) -> list[str]:
    return [each.account for each in agenda.due(found, now_s=now_s)]


def test_what_is_due_by_the_databases_clock_is_checked():
    assert names(Agenda(), seen(credential(checked_s=301), credential("lab"))) == ["payer"]


def test_who_was_unwell_is_checked_when_a_worker_starts_but_once():
    agenda = Agenda()
    unwell = credential(found=REFUSED, checked_s=1)
    assert names(agenda, seen(unwell)) == ["payer"]
    checked = replace(unwell, checked_at=NOW + timedelta(seconds=1))
    assert names(agenda, seen(checked, now=NOW + timedelta(seconds=2))) == []


def test_a_suspect_is_checked_first_until_a_newer_result_is_there():
    agenda = Agenda()
    late = credential("late", checked_s=400)
    assert names(agenda, seen(late, credential())) == ["late"]
    agenda.hurry("payer")
    assert names(agenda, seen(late, credential())) == ["payer", "late"]
    assert names(agenda, seen(late, credential(checked_s=0))) == ["payer", "late"]
    assert names(agenda, seen(late, credential(checked_s=-1))) == ["late"]


def test_an_account_that_is_gone_is_suspected_no_more():
    agenda = Agenda()
    agenda.hurry("gone")
    assert names(agenda, seen(credential())) == []
    assert names(agenda, seen(credential("gone"))) == []


def test_a_check_that_stands_still_for_long_is_taken_over():
    agenda = Agenda()
    taken = credential(turn=3, checked_s=400)
    assert names(agenda, seen(taken), 0.0) == []
    assert names(agenda, seen(taken), ABANDONED_S - 1) == []
    assert names(agenda, seen(taken), ABANDONED_S) == ["payer"]
    assert names(agenda, seen(replace(taken, turn=5)), ABANDONED_S + 1) == []


class FakeLedger:
    """Credentials in memory, checked by nobody else."""

    def __init__(self, *credentials: Credential) -> None:
        self.credentials = {each.account_id: each for each in credentials}
        self.recorded: list[tuple[str, Finding]] = []
        self.others: set[int] = set()

    def read(self) -> CredentialsSeen:
        return seen(*self.credentials.values())

    def begin(self, found: Credential) -> int | None:
        return None if found.account_id in self.others else found.turn + 1

    def record(self, account_id: int, turn: int, found: Finding) -> Recorded | None:
        before = self.credentials[account_id]
        after = replace(before, found=found, checked_at=NOW + timedelta(seconds=1), since=NOW, turn=turn + 1)
        self.credentials[account_id] = after
        self.recorded.append((before.account, found))
        return Recorded(before, after)


class Accounts:
    def __init__(self, *names: str) -> None:
        self.accounts = [AwsAccount(name=name, provider="aws", account_id="123456789012") for name in names]

    def current(self) -> list[AwsAccount]:
        return self.accounts


class Provider:
    """Signs in as told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def sign_in(self) -> str:
        if self.error:
            raise self.error
        return "me"


def checks(ledger: FakeLedger, accounts: Accounts, provider: Provider | None = None, **more: Any) -> CredentialChecks:
    sign_ins = SignIns(lambda _account: provider or Provider())  # type: ignore[arg-type,return-value] # signs in only
    given: dict[str, Any] = {"may_check": lambda: True, "room": lambda: True, "pace_s": 0.0, **more}
    return CredentialChecks(ledger, accounts, sign_ins=sign_ins, **given)


def never(name: str) -> Credential:
    return Credential(int.from_bytes(name.encode()), name, "aws", UNKNOWN, None, None)


def test_a_turn_checks_all_that_is_due():
    many = [f"a{number}" for number in range(10, 22)]
    ledger = FakeLedger(*map(never, many))
    checks(ledger, Accounts(*many)).turn()
    assert ledger.recorded == [(name, UP) for name in many]


def test_nobody_is_asked_while_draining_without_room_or_without_accounts():
    ledger = FakeLedger(never("a"))
    checks(ledger, Accounts("a"), may_check=lambda: False).turn()
    checks(ledger, Accounts("a"), room=lambda: False).turn()
    checks(ledger, Accounts()).turn()
    stopped = checks(ledger, Accounts("a"))
    stopped.stop()
    stopped.turn()
    assert ledger.recorded == []


def test_who_is_checked_by_another_process_is_left_to_it():
    ledger = FakeLedger(never("a"), never("b"))
    ledger.others = {never("a").account_id}
    checks(ledger, Accounts("a", "b")).turn()
    assert [name for name, _ in ledger.recorded] == ["b"]


def test_an_account_that_was_changed_in_the_file_is_checked_at_once():
    ledger, accounts = FakeLedger(credential("a"), credential("b")), Accounts("a", "b")
    checking = checks(ledger, accounts)
    checking.turn()
    assert ledger.recorded == []
    accounts.accounts = [accounts.accounts[0], accounts.accounts[1].model_copy(update={"account_id": "210987654321"})]
    checking.turn()
    assert [name for name, _ in ledger.recorded] == ["b"]


def test_a_run_that_failed_has_its_account_checked_at_once():
    ledger = FakeLedger(credential("a"))
    checking = checks(ledger, Accounts("a"))
    checking.suspect("a")
    checking.turn()
    assert [name for name, _ in ledger.recorded] == ["a"]


def test_an_error_nobody_foresaw_is_a_result_like_any_other():
    ledger = FakeLedger(never("a"), never("b"))
    with captured():
        checks(ledger, Accounts("a", "b"), Provider(ValueError("secret"))).turn()
    assert {found.code for _, found in ledger.recorded} == {"UNEXPECTED"}


def test_a_refusal_is_recorded_with_its_cure():
    ledger = FakeLedger(never("a"))
    refused = ProviderError(code="AWS_EXPIRED", summary="s", hint="h", permanent=True)
    with captured() as lines:
        checks(ledger, Accounts("a"), Provider(refused)).turn()
    assert ledger.recorded == [("a", Finding(CredentialStatus.DOWN, "AWS_EXPIRED", "s", "h"))]
    assert lines.text.count("Credentials: The account is refused") == 1


def change(before: Finding, after: Finding) -> str:
    with captured() as lines:
        tell(Recorded(credential(found=before), credential(found=after)))
    return str(lines.text)


def test_only_a_refusal_and_its_end_are_worth_a_line():
    unsure = Finding(CredentialStatus.DEGRADED, "AWS_NETWORK", "s", "h")
    refused = change(UP, REFUSED)
    for word in ("is refused", "account=payer", "AWS_EXPIRED", "Renew it", "since="):
        assert word in refused
    assert "is refused" in change(unsure, REFUSED)
    assert "is well again" in change(REFUSED, UP)
    assert change(UP, UP) == change(REFUSED, REFUSED) == change(UP, unsure) == change(unsure, UP) == ""
