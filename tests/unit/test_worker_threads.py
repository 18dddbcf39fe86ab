"""The worker's own threads: holding and renewing runs, ending, direct mode, starting again."""

import threading

import pytest

from shared.core.errors import DatabaseUnavailableError
from tests.support.runs import claim
from tests.support.waiting import wait_for
from workers.crew import FIRST_DELAY_S, MAX_DELAY_S, restart_delay_s
from workers.direct import DirectMode, Outage, intake
from workers.ending import Ending
from workers.facts import Intake
from workers.holdings import Holdings, Renewals

AWAY = DatabaseUnavailableError(summary="away")


def held_runs(*ids):
    holdings = Holdings()
    return holdings, [holdings.add(claim(run_id)) for run_id in ids]


def test_a_released_run_is_no_longer_held():
    holdings, (first, _) = held_runs(1, 2)
    holdings.release(first)
    holdings.release(first)
    assert [held.claim.run.id for held in holdings.all()] == [2]


def test_releasing_an_old_claim_leaves_the_new_one_of_the_same_run():
    holdings, (old,) = held_runs(1)
    new = holdings.add(claim(1))
    holdings.release(old)
    assert holdings.all() == [new]


def test_waiting_for_empty_hands_tells_whether_they_are():
    holdings, (held,) = held_runs(1)
    assert not holdings.wait_empty(0.01)
    holdings.release(held)
    assert holdings.wait_empty(0)


def renewals(holdings, renew, max_s=3600.0):
    return Renewals(holdings, renew, interval_s=10, max_s=max_s)


def test_runs_that_are_ours_no_longer_are_marked_lost():
    holdings, (first, second) = held_runs(1, 2)
    assert renewals(holdings, lambda claims: {1}).renew_once(first.since_s)
    assert (first.lost.is_set(), second.lost.is_set()) == (False, True)


def test_a_database_that_is_away_loses_no_run():
    holdings, (held,) = held_runs(1)

    def renew(claims):
        raise AWAY

    assert not renewals(holdings, renew).renew_once(held.since_s)
    assert not held.lost.is_set()


def test_renewal_ends_when_a_run_takes_too_long():
    holdings, (held,) = held_runs(1)
    renewed = []

    def renew(claims):
        renewed.extend(claims)
        return {1}

    renewing = renewals(holdings, renew, max_s=60)
    renewing.renew_once(held.since_s + 59)
    renewing.renew_once(held.since_s + 61)
    assert len(renewed) == 1


def test_renewals_run_by_themselves_and_stop():
    holdings, _ = held_runs(1)
    renewed = threading.Event()

    def renew(claims):
        renewed.set()
        return {1}

    renewing = Renewals(holdings, renew, interval_s=0.02, max_s=60)
    renewing.start()
    assert renewed.wait(20)
    renewing.stop()
    renewing.thread.join(20)
    assert not renewing.thread.is_alive()


@pytest.mark.parametrize(
    ("looks", "after_s", "expected"),
    [
        ([(True, 0)], 60, Intake.QUEUE),
        ([(False, 0)], 60, Intake.WAITING),
        ([(False, 0), (False, 59)], 60, Intake.WAITING),
        ([(False, 0), (False, 60)], 60, Intake.DIRECT),
        ([(False, 0), (True, 59), (False, 61), (False, 100)], 60, Intake.WAITING),
        ([(False, 0), (False, 99), (True, 100)], 60, Intake.QUEUE),
        ([(False, 0), (False, 99_999)], 0, Intake.WAITING),
    ],
)
def test_direct_mode_begins_when_hints_have_not_come_through_for_long(looks, after_s, expected):
    outage = Outage(None)
    for usable, now_s in looks:
        outage = outage.seen(usable=usable, now_s=now_s)
    assert intake(outage, now_s=looks[-1][1], after_s=after_s) is expected


def test_direct_mode_takes_runs_up_to_its_room_and_ends_with_the_outage():
    usable, worked, due, holdings = threading.Event(), [], [1, 2, 3], Holdings()
    direct = DirectMode(
        usable=usable.is_set,
        take_next=lambda: holdings.add(claim(due.pop())),
        work=lambda held: worked.append(held.claim.run.id),
        has_room=lambda: len(holdings) < 2,
        after_s=0.01,
    )
    direct.start()
    wait_for(lambda: sorted(worked) == [2, 3], what="the runs there was room for")
    usable.set()
    wait_for(lambda: direct.intake is Intake.QUEUE, what="the end of direct mode")
    direct.stop()
    direct.thread.join(20)
    assert not direct.thread.is_alive()
    assert due == [1]


class Ended:
    """What an ending did, in order."""

    def __init__(self, holdings, hand_back=None, closers=()):
        self.did: list[str] = []
        self.left = threading.Event()
        self.ending = Ending(
            holdings,
            requested=threading.Event(),
            stop_intake=lambda: self.did.append("intake stopped"),
            hand_back=hand_back or (lambda held: self.did.append(f"handed back {held.claim.run.id}")),
            closers=(*closers, lambda: self.did.append("closed")),
            leave=self.left.set,
        )
        self.ending.start()


def test_an_idle_process_ends_at_once():
    ended = Ended(Holdings())
    ended.ending.begin(60)
    assert ended.left.wait(20)
    assert ended.did == ["intake stopped", "closed"]


def test_work_in_flight_is_waited_for_within_the_grace():
    holdings, (held,) = held_runs(1)
    ended = Ended(holdings)
    ended.ending.begin(60)
    wait_for(lambda: ended.did == ["intake stopped"], what="the end of the intake")
    assert not ended.left.is_set()
    holdings.release(held)
    assert ended.left.wait(20)
    assert ended.did == ["intake stopped", "closed"]


def test_what_is_left_after_the_grace_is_handed_back():
    holdings, _ = held_runs(1, 2)
    ended = Ended(holdings)
    ended.ending.begin(0.05)
    assert ended.left.wait(20)
    assert ended.did == ["intake stopped", "handed back 1", "handed back 2", "closed"]


def test_a_lost_launcher_cuts_the_grace_short():
    holdings, _ = held_runs(1)
    ended = Ended(holdings)
    ended.ending.begin(60)
    wait_for(lambda: ended.did, what="the end of the intake")
    ended.ending.begin(0)
    assert ended.left.wait(20)
    assert "handed back 1" in ended.did


def test_a_database_that_is_away_or_hangs_does_not_hold_the_end_up():
    holdings, _ = held_runs(1)
    forever = threading.Event()
    for hand_back in (lambda held: forever.wait(), lambda held: (_ for _ in ()).throw(AWAY)):
        ended = Ended(holdings, hand_back)
        ended.ending.begin(0)
        assert ended.left.wait(20)
    forever.set()


def test_a_closer_that_fails_does_not_keep_the_others_open():
    def broken():
        raise RuntimeError("broken")

    ended = Ended(Holdings(), closers=(broken,))
    ended.ending.begin(0)
    assert ended.left.wait(20)
    assert ended.did == ["intake stopped", "closed"]


@pytest.mark.parametrize(
    ("lived_s", "previous_s", "delay_s"),
    [(0.5, 0, FIRST_DELAY_S), (0.5, 1, 2), (0.5, 8, MAX_DELAY_S), (0.5, 15, MAX_DELAY_S), (60, 15, FIRST_DELAY_S)],
)
def test_a_group_that_ends_again_and_again_is_started_less_and_less_often(lived_s, previous_s, delay_s):
    assert restart_delay_s(lived_s, previous_s) == delay_s
