"""What an outage may cost in log lines, on a clock that the tests move."""

from dataclasses import dataclass, field

import pytest

from shared.observability import events
from shared.observability.flood import Away, FloodControl, Kind, Limits, kind_of


@dataclass
class World:
    now_s: float = 1000.0
    away: Away = field(default_factory=Away)

    def control(self) -> FloodControl:
        return FloodControl(lambda: self.away, clock=lambda: self.now_s)


def write(control: FloodControl, kind: Kind, times: int = 1) -> int:
    return sum(control.admit(kind).write for _ in range(times))


def outage_at_start(world: World, control: FloodControl) -> int:
    """The essential lines of a start without Redis, at their times. Returns how many lines were written."""
    written = write(control, Kind.ESSENTIAL, 2)
    world.away = Away(redis=True)
    written += write(control, Kind.ESSENTIAL, 3)
    for at_s in (1, 3, 7, 15, 30, 45):
        world.now_s = 1000.0 + at_s
        written += write(control, Kind.ESSENTIAL)
        written += write(control, Kind.ORDINARY, 20)
    return written


def test_a_start_without_redis_writes_at_most_12_lines_and_every_essential_one():
    world = World()
    assert outage_at_start(world, world.control()) == 12


def test_lines_written_just_before_the_outage_showed_count_as_its_own():
    world = World()
    control = world.control()
    assert write(control, Kind.ORDINARY, 12) == 12
    world.away = Away(database=True)
    assert write(control, Kind.ORDINARY, 5) == 0


def test_old_lines_do_not_count_as_the_outage_s_own():
    world = World()
    control = world.control()
    write(control, Kind.ORDINARY, 12)
    world.now_s += 11
    world.away = Away(database=True)
    assert write(control, Kind.ORDINARY, 20) == 12


def test_a_later_minute_has_6_lines_the_report_included():
    world = World()
    control = world.control()
    outage_at_start(world, control)
    written = 0
    for at_s in (60, 75, 90, 105):
        world.now_s = 1000.0 + at_s
        decision = control.admit(Kind.ESSENTIAL)
        written += decision.write + bool(decision.report)
        written += write(control, Kind.ORDINARY, 50)
    assert written == 6


def test_the_turn_of_a_minute_reports_how_many_lines_were_held_back():
    world = World(away=Away(redis=True))
    control = world.control()
    written = write(control, Kind.ORDINARY, 100)
    world.now_s += 60
    decision = control.admit(Kind.ESSENTIAL)
    assert decision.write
    assert decision.report == 100 - written
    assert control.admit(Kind.ESSENTIAL).report == 0


def test_the_report_comes_without_any_further_line_too():
    world = World(away=Away(redis=True))
    control = world.control()
    written = write(control, Kind.ORDINARY, 100)
    assert control.turn() == 0
    world.now_s += 61
    assert control.turn() == 100 - written
    assert control.turn() == 0


def test_when_calm_again_the_rest_is_reported_and_everything_is_written():
    world = World(away=Away(redis=True))
    control = world.control()
    written = write(control, Kind.ORDINARY, 30)
    world.away = Away()
    world.now_s += 20
    assert control.turn() == 0
    world.now_s += Limits().calm_s
    assert control.turn() == 30 - written
    assert write(control, Kind.ORDINARY, 500) == 500


def test_lines_of_runs_and_requests_are_never_held_back_nor_counted():
    world = World(away=Away(redis=True))
    control = world.control()
    assert write(control, Kind.EXEMPT, 500) == 500
    assert write(control, Kind.ESSENTIAL, 11) == 11


def test_without_redis_away_no_room_is_kept_for_its_lines():
    world = World(away=Away(database=True))
    assert write(world.control(), Kind.ORDINARY, 50) == 12


@pytest.mark.parametrize("period_s", [0.5, 2.0, 7.0, 20.0])
def test_however_it_flaps_no_minute_has_more_lines_than_allowed(period_s):
    world = World()
    control = world.control()
    per_minute = [0] * 5
    began_s = world.now_s
    while (passed_s := world.now_s - began_s) < 60 * len(per_minute):
        minute = int(passed_s // 60)
        world.away = Away(redis=int(passed_s / period_s) % 2 == 0)
        for kind in (Kind.ESSENTIAL, Kind.ESSENTIAL, Kind.ORDINARY, Kind.ORDINARY):
            decision = control.admit(kind)
            per_minute[minute] += decision.write + bool(decision.report)
        world.now_s += period_s
    assert per_minute[0] <= 12
    assert max(per_minute[1:]) <= 6


def lose_again(world: World, control: FloodControl, *, up_s: float) -> None:
    """Redis has been away; now it is back for a while, looked at each second, and lost again."""
    world.away = Away()
    for _ in range(int(up_s)):
        control.turn()
        world.now_s += 1
    world.away = Away(redis=True)


@pytest.mark.parametrize(("up_s", "more"), [(3, 0), (8, 0), (59, 0), (61, 1)])
def test_a_loss_within_a_minute_of_the_last_one_has_no_twelve_lines_of_its_own(up_s, more):
    world = World(away=Away(redis=True))
    control = world.control()
    assert write(control, Kind.ESSENTIAL, 11) + write(control, Kind.ORDINARY, 20) == 12
    lose_again(world, control, up_s=up_s)
    assert write(control, Kind.ORDINARY, 20) == more


def test_that_it_is_back_is_written_when_a_flapping_link_has_used_up_all_other_room():
    world = World(away=Away(redis=True))
    control = world.control()
    assert write(control, Kind.RECOVERY) == 1
    lose_again(world, control, up_s=2)
    written = write(control, Kind.ESSENTIAL, 30)
    assert (written, write(control, Kind.RECOVERY, 5), write(control, Kind.PRESSING)) == (9, 1, 1)


def test_what_a_person_must_know_is_written_even_while_it_flaps():
    world = World()
    control = world.control()
    for turn in range(40):
        world.away = Away(redis=turn % 2 == 0)
        write(control, Kind.ESSENTIAL, 3)
        world.now_s += 1
    assert control.admit(Kind.PRESSING).write


def test_in_an_outage_a_line_is_short():
    world = World()
    control = world.control()
    assert not control.admit(Kind.ORDINARY).short
    world.away = Away(redis=True)
    assert control.admit(Kind.ESSENTIAL).short
    assert not control.admit(Kind.EXEMPT).short


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"event": events.REDIS_ATTEMPT_FAILED}, Kind.ESSENTIAL),
        ({"event": events.REDIS_REFUSED}, Kind.PRESSING),
        ({"event": events.REDIS_UNSTABLE}, Kind.PRESSING),
        ({"event": events.REDIS_CONNECTED}, Kind.RECOVERY),
        ({"event": events.DATABASE_LOST}, Kind.ORDINARY),
        ({"event": events.RUN_FAILED, "scope": events.SCOPE_RUN}, Kind.EXEMPT),
        ({"event": events.HTTP_FAILED, "scope": events.SCOPE_REQUEST}, Kind.EXEMPT),
        ({}, Kind.ORDINARY),
    ],
)
def test_the_facts_bound_to_a_line_tell_its_kind(facts, kind):
    assert kind_of(facts) is kind
