"""`holdfast cancel`, `pause` and `resume` on a real ledger."""

from collections.abc import Callable
from functools import partial

import pytest

from shared.core.runs import RunState
from shared.ledger.accounts import list_accounts
from shared.ledger.claims import claim_next_due
from shared.ledger.database import Database
from shared.ledger.planning import plan_catchup
from shared.ledger.queries import get_run
from tests.support.cli import Outcome, called, settle
from tests.support.ledger import JANUARY, requested, with_accounts

pytestmark = pytest.mark.integration


@pytest.fixture
def holdfast(database_url, tmp_path, monkeypatch, capsys) -> Callable[..., Outcome]:
    settle(tmp_path, monkeypatch, database_url)
    return partial(called, capsys)


@pytest.fixture
def db(database) -> Database:
    with_accounts(database, "corp", "lab", "asleep", paused=["asleep"])
    found: Database = database
    return found


def test_cancel_ends_an_open_run_and_says_so(holdfast, db):
    run = requested(db, "corp", JANUARY)
    told = holdfast("cancel", str(run.id))
    assert (told.code, told.err) == (0, "")
    assert told.out == f"Run {run.id}: corp, 2026-01-01 to 2026-01-31: cancelled.\n"
    assert get_run(db, run.id).state is RunState.CANCELLED


def test_cancel_ends_a_running_run_too_and_answers_as_the_api_does(holdfast, db):
    run = requested(db, "corp", JANUARY)
    assert claim_next_due(db, holder="w") is not None
    document = holdfast("cancel", str(run.id), "--json").document
    assert (document["id"], document["state"]) == (str(run.id), "cancelled")


def test_what_has_ended_cannot_be_cancelled(holdfast, db):
    run = requested(db, "corp", JANUARY)
    holdfast("cancel", str(run.id))
    again = holdfast("cancel", str(run.id))
    assert (again.code, again.out) == (1, "")
    assert f"Run {run.id} is cancelled already" in again.err


@pytest.mark.parametrize("run", ["999999", "0", "abc", "1.5", "\uff19", "9" * 30])
def test_an_unknown_run_is_wrong_usage_with_the_cure(holdfast, db, run):
    told = holdfast("cancel", run)
    assert (told.code, told.out) == (2, "")
    assert "`holdfast runs` lists those there are" in told.err


def test_a_paused_account_is_planned_again_when_it_is_resumed(holdfast, db):
    paused = holdfast("pause", "corp")
    assert (paused.code, paused.err) == (0, "")
    assert paused.out.startswith("corp: paused;")
    assert {run.account for run in plan_catchup(db, days=JANUARY)} == {"lab"}
    assert "Paused, nothing new is collected: asleep, corp" in holdfast("coverage").err

    resumed = holdfast("resume", "corp")
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.out.startswith("corp: resumed;")
    assert {run.account for run in plan_catchup(db, days=JANUARY)} == {"corp"}


def test_coverage_shows_in_json_who_is_paused(holdfast, db):
    assert holdfast("pause", "corp", "--json").document == {"account": "corp", "paused": True, "removed": False}
    accounts = holdfast("coverage", "--json").document["accounts"]
    assert {each["account"]: each["paused"] for each in accounts} == {"asleep": True, "corp": True, "lab": False}
    assert holdfast("resume", "corp", "--json").document == {"account": "corp", "paused": False, "removed": False}


def test_an_account_that_the_file_pauses_stays_so_and_the_operator_is_told(holdfast, db):
    told = holdfast("resume", "asleep")
    assert told.code == 0
    assert "It is paused in the accounts file all the same" in told.err


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_unknown_account_is_wrong_usage_with_the_cure(holdfast, db, command):
    told = holdfast(command, "nobody")
    assert (told.code, told.out) == (2, "")
    assert "No account named 'nobody'" in told.err
    assert "`holdfast accounts` lists those there are" in told.err


def test_a_command_run_from_elsewhere_leaves_the_list_of_accounts_alone(holdfast, db):
    before = list_accounts(db)
    holdfast("pause", "corp")
    holdfast("resume", "corp")
    assert list_accounts(db) == before
