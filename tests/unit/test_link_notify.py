import threading
from datetime import UTC, datetime

from shared.core.connection import LinkState, StateChange
from shared.observability import metrics
from shared.redis_link.notify import WAITING_MAX, Notifier
from tests.support.links import captured
from tests.support.waiting import wait_for


def change(reason: str) -> StateChange:
    return StateChange(LinkState.CONNECTING, LinkState.CONNECTED, reason, datetime.now(UTC))


def test_changes_arrive_in_order_on_a_thread_that_is_not_the_tellers():
    notifier, seen = Notifier(), []
    notifier.add(lambda told: seen.append((told.reason_code, threading.current_thread())))
    for number in range(100):
        notifier.tell(change(str(number)))
    wait_for(lambda: len(seen) == 100, what="all arrived")
    assert [reason for reason, _ in seen] == [str(number) for number in range(100)]
    assert {thread for _, thread in seen} != {threading.current_thread()}
    assert len({thread for _, thread in seen}) == 1


def test_a_callback_that_raises_is_told_counted_and_goes_on_being_called():
    notifier, seen = Notifier(), []

    def fails(told: StateChange) -> None:
        seen.append(told.reason_code)
        raise RuntimeError("mine alone")

    before = _counted()
    with captured() as lines:
        notifier.add(fails)
        notifier.tell(change("a"))
        notifier.tell(change("b"))
        wait_for(lambda: seen == ["a", "b"], what="called twice")
        wait_for(lambda: _counted() == before + 2, what="counted")
    assert len(lines.saying("A callback on the connection's state failed")) >= 1


def _counted() -> float:
    return metrics.REGISTRY.get_sample_value("holdfast_unexpected_errors_total", {"where": "redis_callback"}) or 0.0


def test_a_callback_that_blocks_keeps_nobody_else_waiting():
    notifier, release, seen = Notifier(), threading.Event(), []
    notifier.add(lambda _: release.wait(30))
    notifier.add(lambda told: seen.append(told.reason_code))
    notifier.tell(change("a"))
    notifier.tell(change("b"))
    wait_for(lambda: seen == ["a", "b"], what="the other one was called")
    release.set()


def test_what_waits_for_a_callback_that_hangs_is_bounded_and_the_newest_arrives():
    notifier, entered, release, seen = Notifier(), threading.Event(), threading.Event(), []

    def hangs(told: StateChange) -> None:
        entered.set()
        release.wait(30)
        seen.append(told.reason_code)

    notifier.add(hangs)
    notifier.tell(change("first"))
    assert entered.wait(20)
    for number in range(WAITING_MAX + 50):
        notifier.tell(change(str(number)))
    release.set()
    wait_for(lambda: seen[-1:] == [str(WAITING_MAX + 49)], what="the newest arrived")
    assert len(seen) == WAITING_MAX + 1


def test_a_callback_that_was_removed_hears_nothing_more():
    seen: list[StateChange] = []
    notifier = Notifier()
    notifier.add(seen.append)
    notifier.remove(seen.append)
    notifier.remove(seen.append)
    other: list[StateChange] = []
    notifier.add(other.append)
    notifier.tell(change("a"))
    wait_for(lambda: other, what="the other one was called")
    assert seen == []


def test_a_callback_that_is_added_twice_is_called_once():
    seen: list[StateChange] = []
    notifier, last = Notifier(), threading.Event()
    notifier.add(seen.append)
    notifier.add(seen.append)
    notifier.add(lambda _: last.set())
    notifier.tell(change("a"))
    assert last.wait(20)
    wait_for(lambda: len(seen) == 1, what="called")
    assert len(seen) == 1
