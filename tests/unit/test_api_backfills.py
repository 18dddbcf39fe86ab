"""POST /api/v1/backfills: what is asked of the ledger, what is answered, and which mistakes are told."""

from datetime import date

import pytest

from shared.core.days import DayRange
from shared.core.errors import DatabaseUnavailableError, IdempotencyConflictError
from shared.ledger.backfill import BackfillAsked
from tests.support.api import make_api

PATH = "/api/v1/backfills"
FEBRUARY = {"start": "2026-02-01", "end": "2026-02-28"}
DAYS = DayRange(date(2026, 2, 1), date(2026, 2, 28))


def test_a_backfill_is_recorded_and_handed_over():
    api = make_api()
    answer = api.post(PATH, FEBRUARY)
    assert answer.status_code == 202
    assert [run["kind"] for run in answer.json["runs"]] == ["backfill", "backfill"]
    assert answer.json["dispatch"] == "queued"
    assert answer.json["price"] == {"requests": {"least": 2, "most": 8}, "usd": {"least": "0.02", "most": "0.08"}}
    assert answer.json["accounts"][0]["ranges"] == [FEBRUARY]
    assert [sorted(sent) for sent in api.sent] == [[1, 2]]


def test_of_each_account_the_newest_run_is_sent_and_the_rest_is_the_scheduler_s():
    api = make_api()
    answer = api.post(PATH, {"start": "2026-01-01", "end": "2026-02-28"})
    assert [sorted(sent) for sent in api.sent] == [[1, 3]]
    states = [(run["account"], run["start"], run["state"]) for run in answer.json["runs"]]
    assert states == [
        ("one", "2026-02-01", "queued"),
        ("one", "2026-01-01", "pending"),
        ("two", "2026-02-01", "queued"),
        ("two", "2026-01-01", "pending"),
    ]
    assert answer.json["dispatch"] == "deferred"


def test_a_dry_run_records_nothing():
    api = make_api()
    answer = api.post(PATH, FEBRUARY | {"dryRun": True})
    assert answer.status_code == 200
    assert answer.json["runs"] == []
    assert answer.json["accounts"][0]["completeDays"] == 2
    assert api.ledger.calls("request_backfill") == []
    assert api.sent == []


def test_everything_asked_reaches_the_ledger():
    api = make_api()
    body = {"account": "two", "start": "2026-02-01", "again": True}
    assert api.post(PATH, body, headers={"Idempotency-Key": "k"}).status_code == 202
    ((asked,),) = api.ledger.calls("request_backfill")
    days = DayRange(date(2026, 2, 1), date(2026, 3, 9))
    wording = '{"account": "two", "again": true, "start": "2026-02-01"}'
    assert asked == BackfillAsked(accounts=["two"], days=days, again=True, key="k", request=wording)


def test_without_redis_the_runs_are_left_to_the_scheduler():
    api = make_api()
    api.link.away()
    answer = api.post(PATH, FEBRUARY)
    assert (answer.status_code, answer.json["dispatch"]) == (202, "deferred")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "start"),
        ({"end": "2026-02-28"}, "start"),
        ({"start": "2026-03-10"}, "start"),
        ({"start": "2026-03-01", "end": "2026-03-10"}, "end"),
        ({"start": "2026-03-01", "end": "2026-02-01"}, "end"),
        ({"start": "2025-01-01"}, "end"),
        (FEBRUARY | {"again": "yes"}, "again"),
        (FEBRUARY | {"dryRun": 1}, "dryRun"),
        (FEBRUARY | {"account": ""}, "account"),
        (FEBRUARY | {"wait": True}, "wait"),
    ],
)
def test_a_mistake_names_its_field(body, field):
    answer = make_api().post(PATH, body)
    assert (answer.status_code, answer.json["field"]) == (400, field)


def test_an_account_that_is_not_there_is_a_404():
    assert make_api().post(PATH, FEBRUARY | {"account": "nobody"}).status_code == 404


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DatabaseUnavailableError(summary="away"), 503),
        (IdempotencyConflictError(key="k", account="one"), 409),
    ],
)
def test_what_the_ledger_refuses_is_told(error, status):
    api = make_api()
    api.ledger.failure = error
    assert api.post(PATH, FEBRUARY).status_code == status


def test_there_is_no_list_of_backfills():
    answer = make_api().get(PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
