"""The statements that carry the journal over into the sums, as each database spells them. All names are our own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from shared.ledger.sums import DIMENSIONS, Kind, Span

Dialect = Literal["sqlite", "postgresql"]

TEXTS: Final = ("sub_account", "provider_name", "service", "charge_category")
GROUPS: Final = ("account_id", "day", *TEXTS, "currency")
_ENTRY: Final = ", ".join((*GROUPS, "rows", "billed", "effective"))
_SUM: Final = ", ".join(("kind", "span", "day", "account_id", "key", *TEXTS, "currency", "rows", "billed", "effective"))

# The newest of the `:step` oldest entries, and how many they are.
OLDEST: Final = "SELECT max(id), count(*) FROM (SELECT id FROM cost_journal ORDER BY id LIMIT :step) AS oldest"
REMOVE: Final = "DELETE FROM cost_journal WHERE id <= :newest"
# All the costs of an account, as if they came just now.
OF_ACCOUNT: Final = (
    f"INSERT INTO cost_journal ({_ENTRY}) SELECT {', '.join(GROUPS)}, 1, billed, effective FROM costs"
    " WHERE account_id = :account"
)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a database adds amounts up, finds a month, and makes a key of texts."""

    total: str
    # The first day of the third of a month, and of the month, that `day` lies in.
    third: str
    month: str
    plus: str
    zero: str

    def key(self, texts: Sequence[str]) -> str:
        """A digest of `texts` that no other texts have."""
        if self.zero == "'0'":
            return f"group_key({', '.join(texts)})"
        # With lengths: ("a", "bc") and ("ab", "c") are not the same.
        whole = " || ".join(f"char_length({text}) || ':' || {text}" for text in texts)
        return f"sha256(convert_to({whole}, 'UTF8'))"


SPELLINGS: Final[Mapping[Dialect, Spelling]] = MappingProxyType(
    {
        "postgresql": Spelling(
            total="sum({})",
            third="date_trunc('month', day)::date + 10 * least((extract(day FROM day)::integer - 1) / 10, 2)",
            month="date_trunc('month', day)::date",
            plus="s.{0} + excluded.{0}",
            zero="0",
        ),
        "sqlite": Spelling(
            total="exact_sum({})",
            third="substr(day, 1, 8) || CASE WHEN substr(day, 9) < '11' THEN '01' WHEN substr(day, 9) < '21' THEN '11'"
            " ELSE '21' END",
            month="substr(day, 1, 8) || '01'",
            plus="exact_plus(s.{0}, excluded.{0})",
            zero="'0'",
        ),
    }
)


def carry_over_at_once() -> str:
    """For PostgreSQL: carries `:step` entries over and answers how many there were.

    One statement, since it sees one state of the journal while others go on writing: numbers are given out in another
    order than transactions end in, so that nothing may be removed "up to a number".
    """
    oldest = "SELECT id FROM cost_journal ORDER BY id LIMIT :step"
    adds = "".join(f", sums_{kind.value} AS ({_add(kind, 'entries', 'postgresql')})" for kind in Kind)
    return (
        f"WITH entries AS (DELETE FROM cost_journal WHERE id = ANY(ARRAY({oldest})) RETURNING {_ENTRY}){adds}"
        " SELECT count(*) FROM entries"
    )


def carry_over_in_steps() -> list[str]:
    """For SQLite, which has one writer at a time: the statements that add what REMOVE with the same number removes."""
    entries = f"(SELECT {_ENTRY} FROM cost_journal WHERE id <= :newest)"
    return [_add(kind, entries, "sqlite") for kind in Kind]


def _add(kind: Kind, entries: str, dialect: Dialect) -> str:
    """Add `entries` to the sums of a kind. What cancels itself out, such as a day restated as it was, is left out."""
    spelling, dimensions = SPELLINGS[dialect], DIMENSIONS[kind]
    groups = ", ".join((*dimensions, "currency"))
    amounts = ", ".join(f"{spelling.total.format(name)} AS {name}" for name in ("billed", "effective"))
    days = f"SELECT day, {groups}, sum(rows) AS rows, {amounts} FROM {entries} AS journaled GROUP BY day, {groups}"
    longer = "".join(
        f" UNION ALL SELECT {span.value}, {first}, {groups}, sum(rows), {amounts} FROM days GROUP BY {first}, {groups}"
        for span, first in ((Span.THIRD, spelling.third), (Span.MONTH, spelling.month))
    )
    spans = f"SELECT {Span.DAY.value} AS span, days.* FROM days{longer}"
    account = "account_id" if "account_id" in dimensions else "0"
    texts = ", ".join(name if name in dimensions else "''" for name in TEXTS)
    key = spelling.key([*(name for name in TEXTS if name in dimensions), "currency"])
    changed = f"rows <> 0 OR billed <> {spelling.zero} OR effective <> {spelling.zero}"
    added = ", ".join(f"{name} = {spelling.plus.format(name)}" for name in ("billed", "effective"))
    return (
        f"INSERT INTO cost_sums AS s ({_SUM})"
        f" WITH days AS ({days}), spans AS ({spans})"
        f" SELECT {kind.value}, span, day, {account}, {key}, {texts}, currency, rows, billed, effective"
        f" FROM spans WHERE {changed}"
        f" ON CONFLICT (kind, span, day, account_id, key) DO UPDATE SET rows = s.rows + excluded.rows, {added}"
    )
