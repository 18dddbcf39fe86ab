"""A row's cells from what was seen: each has what is shown, its threshold, and whether it holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.fault import FIRST_MINUTE_LINES, LATER_MINUTE_LINES, Fault
from tests.chaos.measure import Sample
from tests.chaos.play import Observation, Told

MINUTE_S = 60.0
MINUTES_JUDGED_S = 120.0


@dataclass(frozen=True, slots=True)
class Cell:
    """`limit` is the threshold in words, empty where the value is only shown. `timing`: it depends on the machine."""

    shown: str
    limit: str = ""
    ok: bool = True
    timing: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One fault's cells by column, or why it was not planted here, or by what planting or watching it failed."""

    name: str
    what: str
    cells: Mapping[str, Cell]
    skipped: str = ""
    failed: str = ""

    @property
    def ok(self) -> bool:
        """Whether every cell holds."""
        return not self.failed and all(cell.ok for cell in self.cells.values())

    @property
    def wrong(self) -> bool:
        """Whether anything does not hold that does not depend on how fast the machine is."""
        return bool(self.failed) or any(not cell.ok and not cell.timing for cell in self.cells.values())


COLUMNS = ("up", "told", "health", "strict", "soft", "healed", "run done", "ledger", "log lines", "machine")


def judged(fault: Fault, seen: Observation) -> Row:
    """The row of `fault`."""
    expect = fault.expect
    cells = {
        "up": _up(fault, seen),
        "told": _told(fault, seen),
        "health": _health(fault, seen),
        "strict": _route(seen.strict, expect.strict),
        "soft": _route(seen.soft, expect.soft),
        "healed": _within(seen.healed_s, expect.heal_s),
        "run done": _within(seen.run_done_s, expect.heal_s),
        "ledger": _ledger(seen),
        "log lines": _lines(fault, seen),
        "machine": Cell(f"p99 {_p99_s(seen.bare) * 1000:.1f} ms"),
    }
    return Row(fault.name, fault.what, {name: cells[name] for name in COLUMNS})


def _up(fault: Fault, seen: Observation) -> Cell:
    statuses = {sample.status for samples in seen.live.values() for sample in samples}
    ok = not seen.ended and bool(statuses) and statuses <= fault.expect.live
    return Cell(", ".join(seen.ended) + " ended" if seen.ended else _numbers(statuses), _numbers(fault.expect.live), ok)


def _told(fault: Fault, seen: Observation) -> Cell:
    expect = fault.expect
    if expect.sign is None:
        anything = {name: told for name, told in seen.told.items() if told.said}
        return Cell(_sayings(anything) or "nothing", "nothing", not anything)
    told = _by({name: seen.told[name] for name in expect.tellers}, expect.told_s)
    if expect.closed_s is None:
        return told
    noticed = _by({name: seen.noticed[name] for name in expect.tellers}, expect.closed_s)
    shown = told.shown if told.shown == noticed.shown else f"{noticed.shown}; then {told.shown}"
    return Cell(shown, f"{noticed.limit}, {told.limit}", noticed.ok and told.ok, timing=noticed.timing and told.timing)


def _by(told: Mapping[str, Told], limit_s: float | None) -> Cell:
    silent = [name for name, one in told.items() if one.said is None]
    if silent:
        return Cell(f"never: {', '.join(silent)}", _seconds(limit_s), ok=False)
    slowest = max(one.after_s or 0.0 for one in told.values())
    return Cell(_sayings(told), _seconds(limit_s), limit_s is None or slowest <= limit_s, timing=True)


def _sayings(told: Mapping[str, Told]) -> str:
    by_saying: dict[str, list[float]] = {}
    for one in told.values():
        by_saying.setdefault(str(one.said), []).append(one.after_s or 0.0)
    return "; ".join(f"{said} {max(after):.2f} s" for said, after in by_saying.items())


def _health(fault: Fault, seen: Observation) -> Cell:
    ready = [sample for samples in seen.ready.values() for sample in samples]
    live = [sample for samples in seen.live.values() for sample in samples]
    statuses = {sample.status for sample in ready}
    said = ", ".join(sorted({str(sample.said) for sample in ready}))
    if not ready or not live:
        return Cell("nobody was asked", ok=False)
    p99_s, slowest_s = _p99_s([*ready, *live]), max(sample.took_s for sample in [*ready, *live])
    limit_s = fault.expect.health_p99_s
    shown = f"{_numbers(statuses)} {said}; p99 {p99_s * 1000:.1f} ms, slowest {slowest_s * 1000:.0f} ms"
    fast, right = p99_s <= limit_s, statuses <= fault.expect.ready
    return Cell(shown, f"p99 {limit_s * 1000:.0f} ms", fast and right, timing=right)


def _p99_s(samples: Sequence[Sample]) -> float:
    took = sorted(sample.took_s for sample in samples)
    return took[min(len(took) - 1, int(len(took) * 0.99))] if took else 0.0


def _route(samples: Iterable[Sample], allowed: frozenset[int]) -> Cell:
    asked = list(samples)
    if not asked:
        return Cell("not asked", ok=False)
    statuses = {sample.status for sample in asked}
    said = sorted({str(sample.said) for sample in asked if sample.said})
    slowest_ms = max(sample.took_s for sample in asked) * 1000
    shown = f"{_numbers(statuses)}{' ' + ', '.join(said) if said else ''}; slowest {slowest_ms:.0f} ms"
    return Cell(shown, _numbers(allowed), statuses <= allowed)


def _within(took_s: float | None, limit_s: float) -> Cell:
    if took_s is None:
        return Cell("never", f"{limit_s:g} s", ok=False)
    return Cell(f"{took_s:.2f} s", f"{limit_s:g} s", took_s <= limit_s, timing=True)


def _ledger(seen: Observation) -> Cell:
    shown = f"{seen.lost} lost, {seen.doubled} doubled, {seen.twice} twice of {seen.promised}"
    if seen.other:
        shown += f"; {len(seen.other)} more: {seen.other[0]}"
    return Cell(shown, "0", not (seen.lost or seen.doubled or seen.twice or seen.other))


def _lines(fault: Fault, seen: Observation) -> Cell:
    if fault.lasts_s < MINUTES_JUDGED_S:
        most = max((len(lines) for lines in seen.lines.values()), default=0)
        return Cell(str(most), str(FIRST_MINUTE_LINES), most <= FIRST_MINUTE_LINES)
    first = [_most(seen, minute) for minute in range(int(seen.lasted_s // MINUTE_S))]
    limits = [FIRST_MINUTE_LINES, *([LATER_MINUTE_LINES] * (len(first) - 1))]
    ok = all(most <= limit for most, limit in zip(first, limits, strict=True))
    return Cell(", ".join(map(str, first)), f"{FIRST_MINUTE_LINES}, then {LATER_MINUTE_LINES}", ok)


def _most(seen: Observation, minute: int) -> int:
    """The lines of that minute, counted from the planting, of the process that wrote most."""
    counts = [sum(minute == int(at_s // MINUTE_S) for at_s, _ in lines) for lines in seen.lines.values()]
    return max(counts, default=0)


def _numbers(statuses: Iterable[int]) -> str:
    return "/".join(str(status) if status else "no answer" for status in sorted(statuses))


def _seconds(limit_s: float | None) -> str:
    return "" if limit_s is None else f"{limit_s:g} s"
