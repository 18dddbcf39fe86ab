"""Rows as they are kept, for handing out whole: amounts stay the text they are written as, every digit of it."""

from datetime import date
from enum import StrEnum
from typing import NamedTuple

from shared.core.costs import CoverageState


class ExportFormat(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    PARQUET = "parquet"


class StoredRow(NamedTuple):
    """One group of one day of an account. Amounts are plain decimal text, without exponent or trailing zeros.

    `state` is what is known of the day: figures that are estimated or suspect may still change.
    """

    account: str
    state: CoverageState
    day: date
    sub_account: str
    provider_name: str
    service: str
    charge_category: str
    currency: str
    billed: str
    effective: str
