"""What the focus provider reads: the formats, the dialect, the versions, exact sums, days."""

import csv
import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from shared.core.costs import CostRow
from shared.core.days import DayRange
from shared.costs.focus.provider import FocusProvider
from tests.support.focus_files import DAY, SAMPLE, SEPTEMBER, SOUND, parquet_row, row, totals, write_csv, write_parquet
from tests.support.need import skip_or_fail

pytestmark = pytest.mark.integration


def fetch(path: Path | str, days: DayRange = SEPTEMBER) -> list[CostRow]:
    return list(FocusProvider(str(path)).fetch(days).rows)


@pytest.mark.parametrize(
    ("field", "column"),
    [("provider_name", "ProviderName"), ("sub_account", "SubAccountId"), ("service", "ServiceName")],
)
@pytest.mark.parametrize(("metric", "amount"), [("billed", "BilledCost"), ("effective", "EffectiveCost")])
def test_the_totals_of_a_real_export_are_those_of_the_file_to_the_last_decimal(field, column, metric, amount):
    if not SAMPLE.exists():
        skip_or_fail(f"{SAMPLE} is not there")
    sums: dict[str, Decimal] = {}
    for found in fetch(SAMPLE):
        key = cast("str", getattr(found, field))
        sums[key] = sums.get(key, Decimal(0)) + getattr(found, metric)
    assert sums == totals(SAMPLE, column, amount)


def test_rows_are_added_up_to_day_sub_account_provider_service_category_and_currency(tmp_path):
    rows = [
        row(),
        row(ChargePeriodStart="2024-09-18T03:00:00Z", BilledCost="0.000000000000000000000001", ResourceId="another"),
        row(BillingCurrency="EUR"),
        row(ChargeCategory="Credit", BilledCost="-3", EffectiveCost="-3"),
    ]
    one = CostRow(DAY, "51738928782", "AWS", "Amazon Simple Queue Service", "Usage", "USD", Decimal(0), Decimal(0))
    assert sorted(fetch(write_csv(tmp_path / "a.csv", rows))) == sorted(
        [
            one._replace(billed=Decimal("1.250000000000000000000001"), effective=Decimal(2)),
            one._replace(currency="EUR", billed=Decimal("1.25"), effective=Decimal(1)),
            one._replace(charge_category="Credit", billed=Decimal(-3), effective=Decimal(-3)),
        ]
    )


@pytest.mark.parametrize("given", ["10", "1e1", "10.000000000000000000000", "+10."])
def test_amounts_come_back_in_plain_short_notation(tmp_path, given):
    (found,) = fetch(write_csv(tmp_path / "a.csv", [row(BilledCost=given, EffectiveCost="0.000")]))
    assert (str(found.billed), str(found.effective)) == ("10", "0")


def test_doubles_that_an_exporter_wrote_as_text_are_taken_over_and_added_up_exactly(tmp_path):
    # As Azure writes them: short of rounding at the last place, each stands for one decimal.
    given = ["9.67741935483871E-05", "1.2E-07", "0.0123456789012345", "1.5E+2", "-3.2258064516129E-06"]
    (found,) = fetch(write_csv(tmp_path / "a.csv", [row(BilledCost=each) for each in given]))
    assert found.billed == sum(map(Decimal, given))


def test_a_day_is_a_utc_day_whatever_the_zone_of_the_file(tmp_path):
    rows = [
        row(ChargePeriodStart=start) for start in ("2024-09-19T01:00:00+02:00", "2024-09-18 23:59:59", "2024-09-18")
    ]
    assert [(found.day, found.billed) for found in fetch(write_csv(tmp_path / "a.csv", rows))] == [
        (DAY, Decimal("3.75"))
    ]


def test_rows_of_other_days_are_left_out_and_a_day_without_rows_is_absent(tmp_path):
    rows = [row(ChargePeriodStart=f"2024-{month}-01T00:00:00Z") for month in ("08", "09", "10")]
    path = write_csv(tmp_path / "a.csv", [*rows, row(ChargePeriodStart="2024-09-30T23:59:59Z")])
    assert {found.day for found in fetch(path)} == {date(2024, 9, 1), date(2024, 9, 30)}
    assert fetch(path, DayRange(date(2025, 1, 1), date(2025, 1, 2))) == []


def test_a_bad_amount_of_a_day_that_was_not_asked_for_harms_nobody(tmp_path):
    path = write_csv(tmp_path / "a.csv", [row(), row(ChargePeriodStart="2024-08-01T00:00:00Z", BilledCost="?")])
    assert len(fetch(path)) == 1


def test_null_is_an_empty_field_or_the_word_and_becomes_empty_text(tmp_path):
    (found,) = fetch(write_csv(tmp_path / "a.csv", [row(SubAccountId="NULL", ServiceName="", ProviderName="NULL")]))
    assert found[1:4] == ("", "", "")


def test_a_file_of_a_header_alone_holds_no_costs(tmp_path):
    assert fetch(write_csv(tmp_path / "a.csv", [])) == []


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_every_usual_dialect_of_csv_is_read(tmp_path, line_end, quoting, encoding):
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding=encoding) as text:
        writer = csv.writer(text, quoting=quoting, lineterminator=line_end)
        writer.writerow(SOUND)
        writer.writerow(row(ServiceName='Größe "XL", zwei', Tags="two\nlines").values())
        writer.writerow(row().values())
    assert sorted(found.service for found in fetch(path)) == ["Amazon Simple Queue Service", 'Größe "XL", zwei']


def test_gzip_is_read_also_of_several_members(tmp_path):
    plain = write_csv(tmp_path / "a.csv", [row()]).read_bytes()
    header, line = plain.split(b"\r\n", 1)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(header + b"\r\n") + gzip.compress(line) + gzip.compress(line))
    assert [found.billed for found in fetch(tmp_path / "b.csv.gz")] == [Decimal("2.5")]


def test_focus_1_4_names_the_provider_in_service_provider_name(tmp_path):
    path = write_csv(tmp_path / "a.csv", [row(ServiceProviderName="Oracle")], leave_out=["ProviderName"])
    assert [found.provider_name for found in fetch(path)] == ["Oracle"]


def test_provider_name_goes_first_where_both_are_given(tmp_path):
    rows = [row(ServiceProviderName="Amazon"), row(ServiceProviderName="Oracle", ProviderName="NULL")]
    assert sorted(found.provider_name for found in fetch(write_csv(tmp_path / "a.csv", rows))) == ["AWS", "Oracle"]


def test_a_file_without_sub_accounts_gives_empty_ones(tmp_path):
    assert [
        found.sub_account for found in fetch(write_csv(tmp_path / "a.csv", [row()], leave_out=["SubAccountId"]))
    ] == [""]


def test_a_glob_reads_all_its_files_of_every_layout_and_format_as_one(tmp_path):
    (tmp_path / "deep").mkdir()
    write_csv(tmp_path / "a.csv", [row()])
    write_csv(tmp_path / "b.csv", [row()])
    write_csv(tmp_path / "c.csv.gz", [{"x_First": "1", **row()}])
    write_csv(tmp_path / "deep" / "d.csv", [row(ServiceProviderName="AWS")], leave_out=["ProviderName"])
    write_parquet(tmp_path / "deep" / "e.parquet", parquet_row())
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / ".f.csv.tmp").write_text("half")
    assert [found.billed for found in fetch(tmp_path / "**" / "*")] == [Decimal("6.25")]
    assert [found.billed for found in fetch(tmp_path / "*.csv")] == [Decimal("2.5")]


@pytest.mark.parametrize("name", ["a[1].csv", "a*.csv", "it's.csv", "ä ö.csv", "a[[]x.csv"])
def test_a_file_is_itself_whatever_its_name_looks_like(tmp_path, name):
    write_csv(tmp_path / name, [row()])
    write_csv(tmp_path / "a1.csv", [row(BilledCost="1000")])
    write_csv(tmp_path / "a[x.csv", [row(BilledCost="1000")])
    assert [found.billed for found in fetch(tmp_path / name)] == [Decimal("1.25")]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("CAST('123.4567890123' AS DECIMAL(20,10))", "123.4567890123"),
        (
            "CAST('12345678901234.123456789012345678901234' AS DECIMAL(38,24))",
            "12345678901234.123456789012345678901234",
        ),
        ("CAST('0.5' AS DECIMAL(38,38))", "0.5"),
        ("CAST(-7 AS INTEGER)", "-7"),
        ("CAST(7 AS UBIGINT)", "7"),
        ("CAST(0.1 AS DOUBLE)", "0.1"),
        ("CAST(1.2345678901234568e-05 AS DOUBLE)", "0.000012345678901234568"),
        ("CAST(1.2345678901234566e-09 AS DOUBLE)", "0.000000001234567890123457"),
        ("CAST(8e-7 AS DOUBLE)", "0.0000008"),
        ("CAST(0.1 AS FLOAT)", "0.1"),
        ("'8e-7'", "0.0000008"),
        ("'1.2345678901234567E-09'", "0.000000001234567890123457"),
    ],
)
def test_parquet_amounts_of_every_type_are_exact_and_doubles_their_shortest_decimal(tmp_path, expression, expected):
    path = write_parquet(tmp_path / "a.parquet", parquet_row(BilledCost=expression))
    assert [found.billed for found in fetch(path)] == [Decimal(expected)]


@pytest.mark.parametrize(
    "expression",
    [
        "TIMESTAMP '2024-09-18 22:00:00'",
        "TIMESTAMPTZ '2024-09-19 01:30:00+02:00'",
        "TIMESTAMP_NS '2024-09-18 22:00:00.123456789'",
        "TIMESTAMP_MS '2024-09-18 22:00:00'",
        "DATE '2024-09-18'",
        "'2024-09-19T01:30:00+02:00'",
    ],
)
def test_parquet_times_of_every_type_give_the_utc_day(tmp_path, expression):
    path = write_parquet(tmp_path / "a.parquet", parquet_row(ChargePeriodStart=expression))
    assert [found.day for found in fetch(path)] == [DAY]


def test_parquet_text_knows_the_word_null_as_csv_does(tmp_path):
    path = write_parquet(
        tmp_path / "a.parquet", parquet_row(SubAccountId="'NULL'", ServiceName="NULL", ProviderName="''")
    )
    (found,) = fetch(path)
    assert found[1:4] == ("", "", "")


def test_many_small_amounts_add_up_without_any_error(tmp_path):
    path = write_csv(tmp_path / "a.csv", [row(BilledCost="0.1", EffectiveCost="1e-24")] * 10_000)
    (found,) = fetch(path)
    assert (found.billed, found.effective) == (Decimal(1000), Decimal("1e-20"))
