"""Which columns of a FOCUS file are read, under which names, in which versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.costs.focus.errors import bad_columns

PERIOD: Final = "ChargePeriodStart"
BILLED: Final = "BilledCost"
EFFECTIVE: Final = "EffectiveCost"
CURRENCY: Final = "BillingCurrency"
CATEGORY: Final = "ChargeCategory"
SERVICE: Final = "ServiceName"
SUB_ACCOUNT: Final = "SubAccountId"
PROVIDER: Final = "ProviderName"
SERVICE_PROVIDER: Final = "ServiceProviderName"

ALL_VERSIONS: Final = "FOCUS 1.0 to 1.4"
MANDATORY: Final = (PERIOD, BILLED, EFFECTIVE, CURRENCY, CATEGORY, SERVICE)
# SubAccountId is conditional in FOCUS: providers without sub-accounts leave the column out.
OPTIONAL: Final = (SUB_ACCOUNT, PROVIDER, SERVICE_PROVIDER)
# The versions in which one of the two is to be found.
PROVIDER_VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {PROVIDER: "FOCUS 1.0 to 1.3", SERVICE_PROVIDER: "FOCUS 1.3 and 1.4"}
)
COLUMNS_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns that are read stand: FOCUS name to position, counted from 0."""

    positions: Mapping[str, int]

    def at(self, name: str) -> int | None:
        """The position of the FOCUS column `name`, None when the file has none."""
        return self.positions.get(name)


def find_columns(file: str, header: Sequence[str]) -> Columns:
    """Match a file's header with FOCUS. Capital letters may differ, since query engines lower-case names.

    Raises ProviderError naming what is missing or doubled.
    """
    wanted = {name.lower(): name for name in (*MANDATORY, *OPTIONAL)}
    found: dict[str, int] = {}
    for position, given in enumerate(header):
        name = wanted.get(given.strip().lower())
        if name is None:
            continue
        if name in found:
            raise bad_columns(file, f"column {name} stands there twice", hint="Export the file again with one of them")
        found[name] = position
    _check_complete(file, header, found)
    return Columns(MappingProxyType(found))


def _check_complete(file: str, header: Sequence[str], found: Mapping[str, int]) -> None:
    missing = [f"{name} ({ALL_VERSIONS} have it)" for name in MANDATORY if name not in found]
    if PROVIDER not in found and SERVICE_PROVIDER not in found:
        missing.append(" or ".join(f"{name} ({versions})" for name, versions in PROVIDER_VERSIONS.items()))
    if not missing:
        return
    raise bad_columns(
        file,
        f"column{'s' if len(missing) > 1 else ''} missing: {', '.join(missing)}",
        hint=f"{_separator_hint(header)}Export cost and usage as {ALL_VERSIONS}. The file has: {_listed(header)}",
    )


def _separator_hint(header: Sequence[str]) -> str:
    if len(header) == 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
            if separator in header[0]:
                return f"Its columns are separated by {word}; FOCUS exports use commas. "
    return ""


def _listed(header: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in header[:COLUMNS_SHOWN])
    rest = len(header) - COLUMNS_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
