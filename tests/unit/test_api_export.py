"""GET /api/v1/costs/export: a file of any size, at most two at a time, and never half a one that looks whole."""

import io
from datetime import date

import duckdb
import pytest

from shared.core.costs import CoverageState
from shared.core.days import DayRange
from shared.core.errors import DatabaseUnavailableError
from shared.core.exports import ExportFormat, StoredRow
from shared.ledger.exporting import ExportQuery
from shared.probes.channel import AnswerCut
from status_api import exporting
from status_api.errors import ApiError
from status_api.exporting import Exports
from tests.support.api import FakeLedger, make_api

PATH = "/api/v1/costs/export"
MARCH = DayRange(date(2026, 3, 1), date(2026, 3, 2))
QUERY = ExportQuery(MARCH)


def batch(account="one", day=MARCH.start):
    return [StoredRow(account, CoverageState.COMPLETE, day, "sub", "AWS", "Compute", "Usage", "USD", "1.5", "1")]


AWAY = DatabaseUnavailableError(summary="away")


def filled():
    return FakeLedger(batches=[batch(), batch("two")])


def test_a_csv_has_a_name_a_type_and_every_row():
    api = make_api()
    api.ledger.batches = [batch(), batch("two")]
    answer = api.get(f"{PATH}?start=2026-03-01&end=2026-03-02")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="costs_2026-03-01_2026-03-02.csv"'
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.splitlines()[1:] == [
        f"1.5,USD,Usage,2026-03-02T00:00:00Z,2026-03-01T00:00:00Z,1,AWS,Compute,sub,{name},complete"
        for name in ("one", "two")
    ]
    assert api.ledger.calls("exported") == [(QUERY,)]


def test_parquet_states_its_length(tmp_path):
    api = make_api()
    api.ledger.batches = [batch()]
    answer = api.get(f"{PATH}?format=parquet&account=one")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert int(answer.headers["content-length"]) == len(answer.content)
    (tmp_path / "x.parquet").write_bytes(answer.content)
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(f"SELECT x_Account, ServiceName FROM '{tmp_path}/x.parquet'").fetchall()
    assert found == [("one", "Compute")]


def test_http_1_0_gets_a_length_too():
    api = make_api()
    api.ledger.batches = [batch()]
    answer = api.get(PATH, http_version="1.0")
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("form", ExportFormat)
def test_a_head_says_what_would_come_and_makes_nothing(form):
    api = make_api()
    answer = api.request("HEAD", f"{PATH}?format={form}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-length" not in answer.headers
    assert "content-disposition" in answer.headers
    assert api.ledger.calls("exported") == []
    assert api.request("HEAD", f"{PATH}?account=nobody").status_code == 404


@pytest.mark.parametrize("form", ExportFormat)
def test_what_is_wrong_before_the_first_row_is_an_answer(form):
    api = make_api()
    assert api.get(f"{PATH}?format={form}&account=nobody").status_code == 404
    api.ledger.failure = AWAY
    assert api.get(f"{PATH}?format={form}").status_code == 503
    api.ledger.failure = None
    assert api.get(f"{PATH}?format={form}").status_code == 200


def test_a_file_that_cannot_be_made_whole_is_none():
    api = make_api()
    api.ledger.batches, api.ledger.broken_off = [batch()], AWAY
    assert api.get(f"{PATH}?format=parquet").status_code == 503


@pytest.mark.parametrize(("query", "field"), [("format=xml", "format"), ("start=2024-01-01", "end"), ("x=1", "x")])
def test_a_mistake_names_its_field(query, field):
    answer = make_api().get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json["field"]) == (400, field)


def test_a_stream_that_loses_the_database_is_cut_and_not_ended():
    ledger = filled()
    ledger.broken_off = AWAY
    stream = Exports(ledger).stream(QUERY)
    assert next(stream).startswith(b"BilledCost")
    assert b"two" in next(stream)
    with pytest.raises(AnswerCut):
        next(stream)


def test_a_client_that_takes_nothing_for_too_long_is_cut():
    now = [0.0]
    stream = Exports(filled(), monotonic_s=lambda: now[0]).stream(QUERY)
    next(stream)
    now[0] = exporting.PATIENCE_S
    next(stream)
    now[0] += exporting.PATIENCE_S + 1
    with pytest.raises(AnswerCut):
        next(stream)


def test_more_than_two_at_a_time_are_asked_to_come_again():
    exports = Exports(filled())
    first, second = exports.stream(QUERY), exports.file(QUERY, ExportFormat.CSV)
    for refused in (lambda: exports.stream(QUERY), lambda: exports.file(QUERY, ExportFormat.PARQUET)):
        with pytest.raises(ApiError) as error:
            refused()
        assert error.value.headers == {"Retry-After": "5"}
    first.close()
    first.close()
    second.close()
    second.close()
    exports.stream(QUERY)
    exports.stream(QUERY)
    with pytest.raises(ApiError):
        exports.stream(QUERY)


@pytest.mark.parametrize("form", ExportFormat)
def test_one_that_fails_leaves_its_place(form):
    ledger = filled()
    exports = Exports(ledger)
    ledger.failure = AWAY
    for _ in range(4):
        with pytest.raises(DatabaseUnavailableError):
            exports.file(QUERY, form)
        with pytest.raises(DatabaseUnavailableError):
            exports.stream(QUERY)
    ledger.failure = None
    with exports.file(QUERY, ExportFormat.CSV) as file:
        assert b"".join(exports.stream(QUERY)) == file.read()


def test_a_file_has_no_name_any_more_when_it_is_sent():
    file = Exports(filled()).file(QUERY, ExportFormat.CSV)
    assert file.size_bytes == len(file.read())
    assert file.seek(0, io.SEEK_SET) == 0
    file.close()
    assert file.closed
