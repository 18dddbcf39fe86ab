"""Calls with a deadline, on threads of their own."""

import threading

import pytest

from status_api.bounded import BoundedCalls
from tests.support.waiting import wait_for


@pytest.fixture
def calls():
    made = BoundedCalls(2, name="bounded")
    yield made
    made.close()


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("bounded-")]


def test_a_call_returns_what_its_function_does(calls):
    assert calls.call(lambda: 7, 20.0) == 7


def test_a_call_raises_what_its_function_does(calls):
    with pytest.raises(KeyError, match="planted"):
        calls.call(lambda: {"other": 1}["planted"], 20.0)
    assert calls.call(lambda: 7, 20.0) == 7


def test_nothing_starts_before_the_first_call_and_all_ends_at_the_close():
    calls = BoundedCalls(2, name="bounded")
    assert names() == []
    calls.call(lambda: None, 20.0)
    assert len(names()) == 2
    calls.close()
    calls.close()
    wait_for(lambda: not names(), 20, "the threads to end")


def test_a_late_call_is_given_up_and_a_call_without_a_thread_is_refused_at_once(calls):
    release, began = threading.Event(), threading.Semaphore(0)

    def hang():
        began.release()
        release.wait(30)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            calls.call(hang, 0.01)
    for _ in range(2):
        assert began.acquire(timeout=20)
    with pytest.raises(TimeoutError, match="no thread"):
        calls.call(lambda: None, 30.0)
    release.set()
    wait_for(lambda: free(calls), 20, "a thread to be free again")


def free(calls: BoundedCalls) -> bool:
    try:
        return calls.call(lambda: True, 1.0)
    except TimeoutError:
        return False


def test_a_call_without_time_is_not_made(calls):
    with pytest.raises(TimeoutError):
        calls.call(lambda: pytest.fail("was called"), 0.0)


def test_many_callers_at_once_all_get_their_own_answer():
    calls = BoundedCalls(8, name="bounded")
    answers = {}

    def ask(number):
        answers[number] = calls.call(lambda: number * 2, 20.0)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls.close()
    assert answers == {number: number * 2 for number in range(8)}
