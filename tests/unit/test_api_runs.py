"""/api/v1/runs: listing, asking for more, cancelling."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
import redis

from shared.core.days import DayRange
from shared.core.errors import DatabaseUnavailableError, IdempotencyConflictError
from shared.core.runs import RunKind, RunState
from status_api.body import MAX_BODY_BYTES
from status_api.params import RunFilter, RunsAsked
from tests.support.api import CURSOR, FAILED, NOW, a_run, make_api

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def api():
    return make_api()


def test_a_page_of_runs_has_the_runs_and_the_next_cursor(api):
    api.ledger.kept = {
        1: a_run(),
        2: a_run(id=2, state=RunState.FAILED, error=FAILED),
        3: a_run(id=3, state=RunState.SUCCEEDED, rows=12),
    }
    answer = api.get("/api/v1/runs")
    assert [run["id"] for run in answer.json["runs"]] == ["1", "2", "3"]
    assert answer.json["runs"][1]["error"]["code"] == "FOCUS_NO_FILE"
    assert answer.json["runs"][2]["rows"] == 12
    assert answer.json["next"] is None


def test_every_filter_reaches_the_ledger(api):
    api.get(f"/api/v1/runs?state=failed&account=two&kind=catchup&limit=7&cursor={CURSOR}")
    wanted = RunFilter(state=RunState.FAILED, account="two", kind=RunKind.CATCHUP, limit=7, cursor=CURSOR)
    assert api.ledger.calls("runs") == [(wanted,)]


def test_one_run_by_its_id(api):
    api.ledger.kept[1] = a_run()
    assert api.get("/api/v1/runs/1").json["id"] == "1"


@pytest.mark.parametrize("run_id", ["2", "0", "abc", "-1", "01", "9223372036854775808", "%00", "1%20", "%FF"])
def test_what_is_no_run_is_a_404(api, run_id):
    api.ledger.kept[1] = a_run()
    for answer in (api.get(f"/api/v1/runs/{run_id}"), api.delete(f"/api/v1/runs/{run_id}")):
        assert answer.status_code == 404


def test_asking_records_one_run_for_each_account_and_sends_it(api):
    answer = api.post("/api/v1/runs")
    assert answer.status_code == 202
    assert answer.json["dispatch"] == "queued"
    assert [(run["account"], run["state"]) for run in answer.json["runs"]] == [("one", "queued"), ("two", "queued")]
    assert api.sent == [[1, 2]]
    assert api.ledger.calls("request_runs") == [(RunsAsked(None, DayRange(date(2026, 3, 3), date(2026, 3, 9))),)]


def test_account_days_and_key_reach_the_ledger(api):
    body = {"account": "two", "start": "2026-03-01", "end": "2026-03-02"}
    answer = api.post("/api/v1/runs", body, headers={"Idempotency-Key": "nightly 1"})
    assert answer.status_code == 202
    ((asked,),) = api.ledger.calls("request_runs")
    assert (asked.accounts, asked.key) == (["two"], "nightly 1")
    assert asked.days == DayRange(date(2026, 3, 1), date(2026, 3, 2))


def test_a_request_repeated_after_midnight_is_still_worded_the_same():
    worded = []
    for moment in (NOW, NOW + timedelta(days=1)):
        api = make_api(now=lambda moment=moment: moment)
        api.post("/api/v1/runs", {"account": "one"}, headers={"Idempotency-Key": "k"})
        ((asked,),) = api.ledger.calls("request_runs")
        worded.append((asked.wording, asked.days))
    assert worded[0][0] == worded[1][0]
    assert worded[0][1] != worded[1][1]


@pytest.mark.parametrize("body", ["{}", '{"account": null, "start": null}', " {} "])
def test_an_empty_object_and_null_fields_mean_the_defaults(api, body):
    assert api.post("/api/v1/runs", body=body, headers=JSON).status_code == 202
    assert api.ledger.calls("request_runs")[0][0].accounts is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{", "body"),
        ("[]", "body"),
        ("null", "body"),
        ('"text"', "body"),
        ("[" * 8000, "body"),
        ("9" * 8000, "body"),
        (b"\xff\xfe{}", "body"),
        ('{"account": "one", "account": "two"}', "account"),
        ('{"accounts": ["one"]}', "accounts"),
        ('{"account": ["one"]}', "account"),
        ('{"account": ""}', "account"),
        ('{"account": "\\ud800"}', "account"),
        ('{"account": "a\\u0000"}', "account"),
        ('{"start": 20260301}', "start"),
        ('{"start": "2026-03-02", "end": "2026-03-01"}', "end"),
        ('{"end": "2026-03-11"}', "end"),
        ('{"start": "2025-01-01"}', "end"),
    ],
)
def test_a_bad_body_is_a_400_that_names_the_field_and_records_nothing(api, body, field):
    answer = api.post("/api/v1/runs", body=body, headers=JSON)
    assert (answer.status_code, answer.json["field"]) == (400, field)
    assert answer.json["allowed"]
    assert api.ledger.asked == []


NOT_JSON = (
    None,
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/json5",
    "application/json; charset=latin-1",
    "nonsense",
)


@pytest.mark.parametrize("kind", NOT_JSON)
def test_a_body_that_is_not_json_by_its_type_is_a_415(api, kind):
    assert api.post("/api/v1/runs", body="{}", headers={"Content-Type": kind}).status_code == 415
    assert api.ledger.asked == []


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_may_say_that_it_is_utf_8(api, kind):
    assert api.post("/api/v1/runs", body="{}", headers={"Content-Type": kind}).status_code == 202


def test_a_body_that_is_too_large_is_a_413(api):
    body = '{"account": "' + "x" * MAX_BODY_BYTES + '"}'
    assert api.post("/api/v1/runs", body=body, headers=JSON).status_code == 413
    assert api.ledger.asked == []


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "\xfc"])
def test_a_bad_idempotency_key_is_a_400(api, key):
    answer = api.post("/api/v1/runs", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json["field"]) == (400, "Idempotency-Key")
    assert api.ledger.asked == []


def test_a_parameter_where_a_body_belongs_is_refused(api):
    assert api.post("/api/v1/runs?account=one").status_code == 400


def test_an_unknown_account_is_a_404(api):
    assert api.post("/api/v1/runs", {"account": "nobody"}).status_code == 404


def test_a_key_used_for_another_request_is_a_409(api):
    api.ledger.failure = IdempotencyConflictError(key="k", account="one")
    assert api.post("/api/v1/runs", headers={"Idempotency-Key": "k"}).status_code == 409


def test_without_redis_runs_are_recorded_and_deferred_and_nothing_is_sent(api):
    api.link.away()
    answer = api.post("/api/v1/runs", {"account": "one"})
    assert (answer.status_code, answer.json["dispatch"]) == (202, "deferred")
    assert answer.json["runs"][0]["state"] == "pending"
    assert api.sent == []


@pytest.mark.parametrize(
    "failure", [redis.TimeoutError("late"), DatabaseUnavailableError(summary="gone"), TimeoutError()]
)
def test_trouble_with_sending_does_not_fail_what_is_recorded(failure):
    def fail(run_ids):
        raise failure

    answer = make_api(dispatch=fail).post("/api/v1/runs", {"account": "one"})
    assert (answer.status_code, answer.json["dispatch"]) == (202, "deferred")
    assert answer.json["runs"][0]["id"] == "1"


def test_queued_means_that_all_were_really_sent():
    api = make_api(dispatch=lambda run_ids: frozenset(run_ids[:1]))
    answer = api.post("/api/v1/runs")
    assert answer.json["dispatch"] == "deferred"


@pytest.mark.parametrize(
    ("state", "available", "dispatch"),
    [
        (RunState.QUEUED, True, "queued"),
        (RunState.RUNNING, True, "queued"),
        (RunState.RUNNING, False, "queued"),
        (RunState.QUEUED, False, "deferred"),
        (RunState.SUCCEEDED, False, "queued"),
    ],
)
def test_a_run_that_was_open_already_is_not_sent_again(api, monkeypatch, state, available, dispatch):
    api.ledger.kept[1] = replace(a_run(), state=state)
    monkeypatch.setattr(api.ledger, "request_runs", lambda *_: [api.ledger.kept[1]])
    if not available:
        api.link.away()
    answer = api.post("/api/v1/runs", {"account": "one"})
    assert (answer.json["runs"][0]["state"], answer.json["dispatch"]) == (state.value, dispatch)
    assert [run_id for run_ids in api.sent for run_id in run_ids] == []


def test_an_open_run_is_cancelled_and_an_ended_one_is_a_409(api):
    api.ledger.kept[1] = a_run()
    answer = api.delete("/api/v1/runs/1")
    assert (answer.status_code, answer.json["state"]) == (200, "cancelled")
    again = api.delete("/api/v1/runs/1")
    assert again.status_code == 409
    assert "cancelled" in again.json["message"]
