"""What must hold in the ledger at every moment, each as one statement that finds what breaks it.

One statement sees one state of the database, and whatever changes the ledger does so in one transaction: a ledger that
is sound has no findings, however busy it is.
"""

from dataclasses import dataclass
from typing import Final, Literal

from shared.ledger.sums import DIMENSIONS, Kind, Span
from shared.ledger.sums_sql import GROUPS, SPELLINGS

Dialect = Literal["sqlite", "postgresql"]

# Written in a statement for the number of days of the run r, which each database counts in its own way.
_DAYS_OF_RUN: Final = "{days of r}"
# For the exact sum of amounts, and for the first day of the third of a month, and of the month, that `day` lies in.
_TOTAL: Final = "{total}"
_THIRD: Final = "{third}"
_MONTH: Final = "{month}"
_DAYS: Final[dict[Dialect, str]] = {
    "sqlite": "(CAST(julianday(r.end_day) - julianday(r.start_day) AS INTEGER) + 1)",
    "postgresql": "(r.end_day - r.start_day + 1)",
}
# Written in a statement for the function that adds amounts exactly.
_EXACT_SUM: Final = "{exact sum}"
_SUM: Final[dict[Dialect, str]] = {"sqlite": "exact_sum", "postgresql": "sum"}


def _differ(one: str, other: str) -> str:
    """The condition that two amounts are not the same, where NULL is the same as NULL alone."""
    only_one = f"({one} IS NULL) <> ({other} IS NULL)"
    return f"CASE WHEN {one} IS NULL OR {other} IS NULL THEN {only_one} ELSE {one} <> {other} END"


@dataclass(frozen=True, slots=True)
class Invariant:
    """What holds, in words, and the statement whose every row breaks it. `at_rest`: only once all work is done."""

    name: str
    holds: str
    sql: str
    at_rest: bool = False

    def statement(self, dialect: Dialect) -> str:
        """The statement as the database spells it."""
        spelling = SPELLINGS[dialect]
        spelled = {
            _DAYS_OF_RUN: _DAYS[dialect],
            _TOTAL: spelling.total.removesuffix("({})"),
            _THIRD: spelling.third,
            _MONTH: spelling.month,
            _EXACT_SUM: _SUM[dialect],
        }
        found = self.sql
        for written, meant in spelled.items():
            found = found.replace(written, meant)
        return found


COSTS: Final = (
    Invariant(
        "one_coverage_row",
        "An account's day has one coverage row.",
        "SELECT account_id, day, count(*) AS found FROM coverage GROUP BY account_id, day HAVING count(*) > 1",
    ),
    Invariant(
        "costs_are_covered",
        "Every day with costs has a coverage row.",
        "SELECT DISTINCT k.account_id, k.day FROM costs k WHERE NOT EXISTS"
        " (SELECT 1 FROM coverage c WHERE c.account_id = k.account_id AND c.day = k.day)",
    ),
    Invariant(
        "rows_as_counted",
        "A covered day has as many cost rows as its coverage row says: none is lost and none is stored twice.",
        "SELECT c.account_id, c.day, c.rows AS expected, COALESCE(k.found, 0) AS found, c.run_id FROM coverage c"
        " LEFT JOIN (SELECT account_id, day, count(*) AS found FROM costs GROUP BY account_id, day) k"
        " ON k.account_id = c.account_id AND k.day = c.day WHERE c.rows <> COALESCE(k.found, 0)",
    ),
    Invariant(
        "no_cost_twice",
        "A day has one row for each sub-account, provider, service, category and currency.",
        "SELECT account_id, day, sub_account, provider_name, service, charge_category, currency, count(*) AS found"
        " FROM costs GROUP BY account_id, day, sub_account, provider_name, service, charge_category, currency"
        " HAVING count(*) > 1",
    ),
    Invariant(
        "coverage_by_a_success",
        "What a coverage row names, as long as it is kept, is a succeeded run of the account over that day.",
        "SELECT c.account_id, c.day, c.run_id, r.account_id AS run_of, r.state FROM coverage c"
        " JOIN runs r ON r.id = c.run_id WHERE r.state <> 'succeeded' OR r.account_id <> c.account_id"
        " OR c.day < r.start_day OR c.day > r.end_day",
    ),
    Invariant(
        "coverage_by_its_fetch",
        "The fetch that a coverage row names, as long as it is kept, is one of its run's.",
        "SELECT c.account_id, c.day, c.run_id, c.fetch_seq, t.run_id AS fetched_by FROM coverage c"
        " JOIN attempts t ON t.id = c.fetch_seq WHERE t.run_id <> c.run_id",
    ),
    Invariant(
        "successes_are_covered",
        "Every day of a succeeded run is covered.",
        "SELECT r.id AS run_id, r.account_id, r.start_day, r.end_day FROM runs r WHERE r.state = 'succeeded'"
        " AND {days of r} <> (SELECT count(*) FROM coverage c WHERE c.account_id = r.account_id"
        " AND c.day BETWEEN r.start_day AND r.end_day)",
    ),
    Invariant(
        "versions_count_stores",
        "An account's data version has risen with every store.",
        "SELECT a.id AS account_id, a.data_version, r.stores FROM accounts a"
        " JOIN (SELECT account_id, count(*) AS stores FROM runs WHERE state = 'succeeded' GROUP BY account_id) r"
        " ON r.account_id = a.id"
        " WHERE a.data_version < r.stores",
    ),
)

REVISIONS: Final = (
    Invariant(
        "last_revision_is_stored",
        "The newest revision of a day's service leads to the costs that are stored.",
        "SELECT v.account_id, v.day, v.service, v.currency, v.billed_after AS expected, k.billed AS found, v.run_id"
        " FROM revisions v JOIN (SELECT max(id) AS id FROM revisions GROUP BY account_id, day, service, currency) n"
        " ON n.id = v.id LEFT JOIN (SELECT account_id, day, service, currency, {exact sum}(billed) AS billed,"
        " {exact sum}(effective) AS effective FROM costs GROUP BY account_id, day, service, currency) k"
        " ON k.account_id = v.account_id AND k.day = v.day AND k.service = v.service AND k.currency = v.currency"
        f" WHERE {_differ('v.billed_after', 'k.billed')} OR {_differ('v.effective_after', 'k.effective')}",
    ),
    Invariant(
        "revisions_are_a_chain",
        "What a revision was before is what the one before it led to.",
        "SELECT account_id, day, service, currency, led_to AS expected, billed_before AS found, run_id"
        " FROM (SELECT v.*, lag(id) OVER w AS earlier, lag(billed_after) OVER w AS led_to,"
        " lag(effective_after) OVER w AS effective_led_to FROM revisions v"
        " WINDOW w AS (PARTITION BY account_id, day, service, currency ORDER BY id)) c WHERE earlier IS NOT NULL"
        f" AND ({_differ('led_to', 'billed_before')} OR {_differ('effective_led_to', 'effective_before')})",
    ),
    Invariant(
        "revisions_change_something",
        "A revision has two sides that differ.",
        "SELECT id AS revision_id, account_id, day, run_id FROM revisions"
        f" WHERE NOT ({_differ('billed_before', 'billed_after')})"
        f" AND NOT ({_differ('effective_before', 'effective_after')})",
    ),
)


def _differing(groups: str, one: str, other: str) -> str:
    """Find the groups whose rows and amounts differ between two selections."""
    amounts = ("billed", "effective")
    of = {
        side: [f"COALESCE({_TOTAL}(CASE WHEN side = {side} THEN {name} END), 0)" for name in amounts] for side in (0, 1)
    }
    counts = [f"sum(CASE WHEN side = {side} THEN rows ELSE 0 END)" for side in (0, 1)]
    unequal = [f"{ours} <> {theirs}" for ours, theirs in zip((counts[0], *of[0]), (counts[1], *of[1]), strict=True)]
    return (
        f"SELECT {groups}, {counts[0]} AS rows_expected, {counts[1]} AS rows_found, {of[0][0]} AS expected,"
        f" {of[1][0]} AS found FROM (SELECT 0 AS side, {one} UNION ALL SELECT 1, {other}) AS compared"
        f" GROUP BY {groups} HAVING {' OR '.join(unequal)}"
    )


def _as_costs(kind: Kind) -> Invariant:
    groups = ", ".join(("day", *DIMENSIONS[kind], "currency"))
    columns = f"{groups}, rows, billed, effective"
    journaled = "account_id NOT IN (SELECT id FROM accounts WHERE NOT journaled)"
    return Invariant(
        f"sums_by_{kind.name.lower()}",
        f"The sums by {kind.name.lower().replace('_', '-')} and the journal together say what the costs say.",
        _differing(
            groups,
            f"{groups}, 1 AS rows, billed, effective FROM costs WHERE {journaled}",
            f"{columns} FROM cost_sums WHERE kind = {kind.value} AND span = {Span.DAY.value}"
            f" UNION ALL SELECT 1, {columns} FROM cost_journal",
        ),
    )


def _as_days(span: Span, first: str) -> Invariant:
    groups = ", ".join(("kind", *(name for name in GROUPS if name != "day")))
    amounts = "rows, billed, effective FROM cost_sums WHERE span ="
    return Invariant(
        f"sums_of_{span.name.lower()}s",
        f"The sums of each {'third of a month' if span is Span.THIRD else 'month'} say what those of its days say.",
        _differing(
            f"first, {groups}",
            f"{first} AS first, {groups}, {amounts} {Span.DAY.value}",
            f"day, {groups}, {amounts} {span.value}",
        ),
    )


SUMS: Final = (*map(_as_costs, Kind), _as_days(Span.THIRD, _THIRD), _as_days(Span.MONTH, _MONTH))

RUNS: Final = (
    Invariant(
        "one_running_run",
        "An account has at most one running run.",
        "SELECT account_id, count(*) AS found FROM runs WHERE state = 'running'"
        " GROUP BY account_id HAVING count(*) > 1",
    ),
    Invariant(
        "one_in_lane",
        "Of the accounts that share a lane, at most one has a running run.",
        "SELECT lane, count(*) AS found FROM runs WHERE state = 'running' AND lane IS NOT NULL"
        " GROUP BY lane HAVING count(*) > 1",
    ),
    Invariant(
        "ended_or_open",
        "A run has an end exactly when its state is final.",
        "SELECT id AS run_id, state, finished_at FROM runs"
        " WHERE (finished_at IS NULL) <> (state IN ('pending', 'queued', 'running'))",
    ),
    Invariant(
        "running_is_held",
        "A running run has a holder and a start.",
        "SELECT id AS run_id, attempt FROM runs WHERE state = 'running' AND (holder IS NULL OR started_at IS NULL)",
    ),
    Invariant(
        "only_running_is_held",
        "Nobody holds a run that is not running.",
        "SELECT id AS run_id, state, holder FROM runs WHERE state <> 'running' AND holder IS NOT NULL",
    ),
    Invariant(
        "queued_is_sent_again",
        "A queued run has a time at which its hint is sent again, and only a queued run has.",
        "SELECT id AS run_id, state, next_send_at FROM runs WHERE (state = 'queued') <> (next_send_at IS NOT NULL)",
    ),
    Invariant(
        "planned_once",
        "No day of an account is in two open catch-up runs.",
        "SELECT r.account_id, r.id AS run_id, o.id AS other FROM runs r JOIN runs o ON o.account_id = r.account_id"
        " AND o.id > r.id AND o.finished_at IS NULL AND o.kind = 'catchup' AND o.start_day <= r.end_day"
        " AND o.end_day >= r.start_day WHERE r.finished_at IS NULL AND r.kind = 'catchup'",
    ),
    Invariant(
        "requested_once",
        "No two open runs are the same request.",
        "SELECT account_id, kind, start_day, end_day, count(*) AS found FROM runs"
        " WHERE finished_at IS NULL AND kind IN ('manual', 'backfill')"
        " GROUP BY account_id, kind, start_day, end_day HAVING count(*) > 1",
    ),
    Invariant(
        "keys_answer_their_kind",
        "An Idempotency-Key was answered with a run of its account and kind.",
        "SELECT q.account_id, q.kind, q.run_id FROM request_keys q JOIN runs r ON r.id = q.run_id"
        " WHERE r.account_id <> q.account_id OR r.kind <> q.kind",
    ),
)

ATTEMPTS: Final = (
    Invariant(
        "running_has_its_attempt",
        "A running run has the attempt that it counts, begun and not ended.",
        "SELECT r.id AS run_id, r.attempt FROM runs r WHERE r.state = 'running'"
        " AND NOT EXISTS (SELECT 1 FROM attempts t"
        " WHERE t.run_id = r.id AND t.attempt = r.attempt AND t.ended_at IS NULL)",
    ),
    Invariant(
        "only_running_goes_on",
        "An attempt that has not ended is its run's, which is running.",
        "SELECT t.run_id, t.attempt, r.attempt AS at, r.state FROM attempts t JOIN runs r ON r.id = t.run_id"
        " WHERE t.ended_at IS NULL AND (r.state <> 'running' OR r.attempt <> t.attempt)",
    ),
    Invariant(
        "attempts_are_counted",
        "No attempt has a higher number than its run.",
        "SELECT t.run_id, t.attempt, r.attempt AS at FROM attempts t JOIN runs r ON r.id = t.run_id"
        " WHERE t.attempt > r.attempt",
    ),
    Invariant(
        "ends_agree",
        "A run that succeeded or failed did so by its last attempt.",
        "SELECT r.id AS run_id, r.state, r.attempt FROM runs r WHERE r.state IN ('succeeded', 'failed')"
        " AND NOT EXISTS (SELECT 1 FROM attempts t"
        " WHERE t.run_id = r.id AND t.attempt = r.attempt AND t.outcome = r.state)",
    ),
    Invariant(
        "succeeded_once",
        "A run that succeeded did so by one attempt, any other by none.",
        "SELECT r.id AS run_id, r.state, count(t.id) AS found FROM runs r"
        " LEFT JOIN attempts t ON t.run_id = r.id AND t.outcome = 'succeeded' GROUP BY r.id, r.state"
        " HAVING count(t.id) <> CASE r.state WHEN 'succeeded' THEN 1 ELSE 0 END",
    ),
    Invariant(
        "ends_have_outcomes",
        "An attempt has an outcome exactly when it has ended.",
        "SELECT run_id, attempt, outcome FROM attempts WHERE (ended_at IS NULL) <> (outcome IS NULL)",
    ),
    Invariant(
        "failures_have_reasons",
        "A failed run says why.",
        "SELECT id AS run_id FROM runs WHERE state = 'failed' AND error_code IS NULL",
    ),
)

WHOLE: Final = (
    Invariant(
        "one_ledger",
        "The ledger has one id.",
        "SELECT count(*) AS found FROM installation HAVING count(*) <> 1",
    ),
    Invariant(
        "nothing_is_orphaned",
        "Whatever belongs to an account or a run has it.",
        "SELECT 'runs' AS place, id, account_id FROM runs WHERE account_id NOT IN (SELECT id FROM accounts)"
        " UNION ALL SELECT 'coverage', run_id, account_id FROM coverage"
        " WHERE account_id NOT IN (SELECT id FROM accounts)"
        " UNION ALL SELECT DISTINCT 'costs', 0, account_id FROM costs"
        " WHERE account_id NOT IN (SELECT id FROM accounts)"
        " UNION ALL SELECT 'attempts', t.id, t.run_id FROM attempts t"
        " WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = t.run_id)"
        " UNION ALL SELECT 'request_keys', q.run_id, q.account_id FROM request_keys q"
        " WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = q.run_id)",
    ),
    Invariant(
        "nothing_is_open",
        "No run is open.",
        "SELECT id AS run_id, account_id, kind, state, attempt FROM runs WHERE finished_at IS NULL",
        at_rest=True,
    ),
)

INVARIANTS: Final = (*COSTS, *REVISIONS, *SUMS, *RUNS, *ATTEMPTS, *WHOLE)
