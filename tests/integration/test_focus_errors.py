"""Files the focus provider refuses: which file, which row, which column, why; and whose move it is."""

import base64
import gzip
import threading
from pathlib import Path

import duckdb
import pytest

from shared.core.errors import ProviderError
from shared.costs.focus import errors
from shared.costs.focus.header import Connection
from shared.costs.focus.layout import Layout
from shared.costs.focus.provider import FocusProvider
from shared.costs.focus.rows import aggregate
from tests.support.focus_files import SEPTEMBER, SOUND, parquet_row, row, write_csv, write_parquet

pytestmark = pytest.mark.integration

# A Parquet file of one row whose BilledCost is DECIMAL(76,40), which DuckDB gives as a double.
WIDE_DECIMAL = (
    "P(e~L6#x}X6-+D@0u=xi1{DSz00002000020RR910000000000000001E9$ub->&6xU9Timd-y4(iH?5EHwZa26JO*Wo=;<0ss{b6+jgN7z#pZY;0v@"
    "LvM3*B?=W#6_^1mToq6im;nF)02Trn92p!Y02~z#86^e)85jyeX>4p|WJ7OrbQJ&=0v2)>awZ5#92Ec+02KlNJShelCIA8e000(p76K*+7IFY6AaG%F"
    "adl;MEn{$SEn#wUZ+9SeWpZ<AZ*CwmHZCwOF&P{j0001<0000`K~ga"
)
AGGREGATE = "shared.costs.focus.provider.aggregate"


def refused(path: Path | str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        FocusProvider(str(path)).fetch(SEPTEMBER)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("changes", "column", "reason"),
    [
        ({"BilledCost": "12,50"}, "BilledCost", "'12,50' is not a number"),
        ({"BilledCost": ""}, "BilledCost", "is empty, where FOCUS wants an amount"),
        ({"EffectiveCost": "NULL"}, "EffectiveCost", "is empty, where FOCUS wants an amount"),
        ({"EffectiveCost": "0.1234567890123456789012345"}, "EffectiveCost", "has more digits than are kept exactly"),
        ({"BilledCost": "100000000000000"}, "BilledCost", "has more digits than are kept exactly"),
        ({"ChargePeriodStart": "18/09/2024"}, "ChargePeriodStart", "'18/09/2024' is not a date and time"),
        ({"ChargePeriodStart": "NULL"}, "ChargePeriodStart", "is empty, where FOCUS wants a date and time"),
        ({"BillingCurrency": "dollars"}, "BillingCurrency", "'dollars' is not a currency code"),
        ({"BillingCurrency": ""}, "BillingCurrency", "is empty, where FOCUS wants a currency"),
        ({"ServiceName": "a\0b"}, "ServiceName", "holds the character NUL"),
    ],
)
def test_a_bad_row_is_told_by_file_row_column_and_reason(tmp_path, changes, column, reason):
    rows = [row(Tags="two\nlines"), row(), row(**changes), row(BilledCost="also bad")]
    path = write_csv(tmp_path / "b.csv", rows)
    write_csv(tmp_path / "a.csv", [row()])
    write_csv(tmp_path / "c.csv", [row(BilledCost="worse")])
    error = refused(tmp_path / "*.csv")
    assert error.summary.startswith(f"{path}: row 3, column {column}: ")
    assert reason in error.summary
    assert (error.code, error.permanent) == ("FOCUS_BAD_ROW", True)


def test_a_bad_row_deep_in_a_large_file_is_found_at_its_place(tmp_path):
    rows = [row()] * 60_000
    rows[54_321] = row(BilledCost="x" * 500)
    error = refused(write_csv(tmp_path / "a.csv.gz", rows))
    assert "row 54322, column BilledCost: 'xxx" in error.summary
    assert len(error.summary) < 400


@pytest.mark.parametrize(
    ("expression", "reason"),
    [("CAST('nan' AS DOUBLE)", "'nan' is not a number"), ("NULL::DOUBLE", "is empty"), ("1e25::DOUBLE", "more digits")],
)
def test_a_bad_parquet_value_is_told_by_row_too(tmp_path, expression, reason):
    path = write_parquet(
        tmp_path / "a.parquet", f"{parquet_row(BilledCost='1::DOUBLE')} UNION ALL {parquet_row(BilledCost=expression)}"
    )
    error = refused(path)
    assert error.summary.startswith(f"{path}: row 2, column BilledCost: ")
    assert reason in error.summary


@pytest.mark.parametrize(
    ("lines", "row_number", "reason"),
    [
        (["{sound}", "1,2"], 2, "has 2 fields, the header has 10"),
        (["{sound}", "{sound}", "{sound},11"], 3, "has 11 fields, the header has 10"),
        (["{sound}", '"never closed'], 2, "quoted field that does not end"),
        (["{sound}", '"closed"and on,2,3,4,5,6,7,8,9,10'], 2, "goes on after its closing quote"),
    ],
)
def test_a_malformed_line_is_told_by_its_row(tmp_path, lines, row_number, reason):
    sound = ",".join(['"' + value.replace('"', '""') + '"' for value in SOUND.values()])
    path = tmp_path / "a.csv"
    path.write_text("\n".join([",".join(SOUND), *lines, ""]).replace("{sound}", sound))
    error = refused(path)
    assert error.summary.startswith(f"{path}: row {row_number}: ")
    assert reason in error.summary
    assert (error.code, error.permanent) == ("FOCUS_BAD_FILE", True)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", ",".join(SOUND).encode("utf-16"), "is not UTF-8 text"),
        ("a.csv", b"\xff\xfe\xfa", "is not UTF-8 text"),
        ("a.csv", ",".join(SOUND).encode() + b"\n" + b"\xff,USD,\xff,\xff,1,1,1,1,1,1\n", "is not UTF-8 text"),
        ("a.csv", ",".join(SOUND).encode() + b"\r\n1,2,3,4,5,6,7,8,9,10\n1,2,3,4,5,6,7,8,9,10\r\n", "LF and CRLF"),
        ("a.csv.gz", b"no gzip", "is not a complete gzip file"),
        ("a.csv.gz", gzip.compress(b"a,b\n" * 100_000)[:-30], "is not a complete gzip file"),
        ("a.csv", b'"never closed', "its header is not well-formed CSV"),
        ("a.parquet", b"no parquet", "is not a complete Parquet file"),
        ("a.csv", b"\n" * 3, "without even a header"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused_by_name(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    error = refused(path)
    assert str(path) in error.summary
    assert reason in error.summary
    assert "\n" not in error.summary


def test_a_parquet_file_cut_short_or_damaged_is_refused(tmp_path):
    whole = write_parquet(tmp_path / "a.parquet", parquet_row()).read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-40])
    assert refused(tmp_path / "a.parquet").permanent
    (tmp_path / "a.parquet").write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    assert refused(tmp_path / "a.parquet").code == "FOCUS_BAD_FILE"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BilledCost": "DATE '2024-01-01'"}, "column BilledCost is of type DATE"),
        ({"ChargePeriodStart": "1726696800"}, "column ChargePeriodStart is of type INTEGER"),
    ],
)
def test_a_parquet_column_of_a_senseless_type_is_refused(tmp_path, changes, reason):
    error = refused(write_parquet(tmp_path / "a.parquet", parquet_row(**changes)))
    assert reason in error.summary
    assert (error.code, error.permanent) == ("FOCUS_BAD_COLUMNS", True)


def test_a_parquet_decimal_too_wide_to_be_read_exactly_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(base64.b85decode(WIDE_DECIMAL))
    error = refused(tmp_path / "a.parquet")
    assert "column BilledCost has more than 38 digits" in error.summary
    assert (error.code, error.permanent) == ("FOCUS_BAD_COLUMNS", True)


def test_a_folder_that_may_not_be_looked_into_may_pass(tmp_path, monkeypatch):
    def forbidden(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", forbidden)
    error = refused(tmp_path / "a.csv")
    assert (error.code, error.permanent) == ("FOCUS_UNREADABLE", False)
    assert "Permission denied" in error.summary


def test_a_file_that_may_not_be_read_may_pass(tmp_path, monkeypatch):
    def forbidden(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gzip.open", forbidden)
    error = refused(write_csv(tmp_path / "a.csv", [row()]).rename(tmp_path / "a.csv.gz"))
    assert (error.code, error.permanent) == ("FOCUS_UNREADABLE", False)


def test_a_file_that_goes_away_between_listing_and_reading_may_pass(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "a.csv", [row()])
    monkeypatch.setattr(Path, "is_file", lambda found: found.exists() and not found.unlink())
    assert (refused(path).code, path.exists()) == ("FOCUS_UNREADABLE", False)


def test_a_file_that_is_not_focus_is_refused_by_its_columns(tmp_path):
    error = refused(write_csv(tmp_path / "a.csv", [row()], leave_out=["BilledCost"]))
    assert (error.code, error.permanent) == ("FOCUS_BAD_COLUMNS", True)


# DuckDB adds in 128 bits: sums that fit these and yet have too many digits, and sums that do not even fit.
@pytest.mark.parametrize("amount", ["50000000000000", "-75000000000000", "90000000000000", "-99999999999999.9"])
@pytest.mark.parametrize("rows", [2, 5_000])
def test_a_sum_too_large_to_keep_is_refused(tmp_path, amount, rows):
    error = refused(write_csv(tmp_path / "a.csv", [row(BilledCost=amount)] * rows))
    assert "has more than 14 digits before the point" in error.summary
    assert (error.code, error.permanent) == ("FOCUS_BAD_SUM", True)


@pytest.mark.parametrize("pattern", ["missing.csv", "*.csv", "none/**/*.parquet", ""])
def test_no_matching_file_may_pass_and_is_told_with_the_path(tmp_path, pattern):
    error = refused(tmp_path / pattern)
    assert (error.code, error.permanent) == ("FOCUS_NO_FILE", False)
    assert str(tmp_path / pattern) in error.summary


def test_an_empty_file_may_still_be_being_written(tmp_path):
    (tmp_path / "a.csv").touch()
    assert (refused(tmp_path / "a.csv").code, refused(tmp_path / "a.csv").permanent) == ("FOCUS_EMPTY_FILE", False)


def test_a_file_of_an_unknown_format_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    assert "the name must end in .csv" in refused(tmp_path / "a.json").summary


@pytest.mark.parametrize("rows", [[row()], [row(BilledCost="bad")]])
@pytest.mark.parametrize("change", ["grow", "replace", "remove"])
def test_a_file_changed_while_it_is_read_may_pass_whatever_was_read_of_it(tmp_path, monkeypatch, rows, change):
    path = write_csv(tmp_path / "a.csv", rows)

    def changing(connection: Connection, layouts: list[Layout], days: object) -> object:
        try:
            return aggregate(connection, layouts, SEPTEMBER)
        finally:
            match change:
                case "grow":
                    with path.open("a") as text:
                        text.write("more")
                case "replace":
                    write_csv(tmp_path / "b", rows).replace(path)
                case "remove":
                    path.unlink()

    monkeypatch.setattr(AGGREGATE, changing)
    error = refused(path)
    assert (error.code, error.permanent) == ("FOCUS_CHANGED", False)


def test_running_out_of_memory_may_pass(tmp_path, monkeypatch):
    def exhausted(*_: object) -> object:
        raise duckdb.OutOfMemoryException("failed to allocate")

    monkeypatch.setattr(AGGREGATE, exhausted)
    error = refused(write_csv(tmp_path / "a.csv", [row()]))
    assert (error.code, error.permanent) == ("FOCUS_RESOURCES", False)


def test_no_place_for_temporary_files_may_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    error = refused(write_csv(tmp_path / "a.csv", [row()]))
    assert (error.code, error.permanent) == ("FOCUS_RESOURCES", False)


def test_an_error_of_the_disk_may_pass(tmp_path, monkeypatch):
    def broken(*_: object) -> object:
        raise duckdb.IOException("Could not read from file: Input/output error")

    monkeypatch.setattr(AGGREGATE, broken)
    error = refused(write_csv(tmp_path / "a.csv", [row()]))
    assert (error.code, error.permanent) == ("FOCUS_UNREADABLE", False)


def test_several_threads_fetch_at_once_and_leave_no_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    source = FocusProvider(str(write_csv(tmp_path / "a.csv", [row()] * 1000)))
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(source.fetch(SEPTEMBER))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 6
    assert all(each == found[0] for each in found)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_every_code_has_its_line_in_the_documentation():
    codes = {value for name, value in vars(errors).items() if name.isupper() and str(value).startswith("FOCUS_")}
    documented = Path("docs/providers.md").read_text()
    assert {code for code in codes if f"`{code}`" not in documented} == set()
    assert len(codes) == 9
