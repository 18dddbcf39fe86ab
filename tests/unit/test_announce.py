"""When a process says that it serves."""

import threading
import time

import pytest

from shared.bootstrap import announce as module
from shared.bootstrap.announce import announce
from shared.core.health import CheckResult, CheckStatus
from tests.support.logs import captured
from tests.support.waiting import wait_for


@pytest.fixture
def stopped():
    made = threading.Event()
    yield made
    made.set()


def nothing_known():
    return {"database": CheckResult(CheckStatus.DOWN)}


def test_time_to_boot_is_not_time_to_settle(stopped, monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 0.1)
    booted, settled = threading.Event(), threading.Event()
    checks = nothing_known()
    with captured() as lines:
        announce(lambda: checks, settled=settled.is_set, stopped=stopped, booted=booted.is_set)
        time.sleep(0.4)
        assert "Server started" not in lines.text
        checks = {"database": CheckResult(CheckStatus.UP)}
        settled.set()
        booted.set()
        wait_for(lambda: "Server started  available=database" in lines.text, 20, "the line")
        assert "degraded" not in lines.text


def test_what_does_not_settle_in_time_is_degraded(stopped, monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 0.1)
    with captured() as lines:
        announce(nothing_known, settled=lambda: False, stopped=stopped)
        wait_for(lambda: "some features may be degraded" in lines.text, 20, "the line")


def test_a_process_that_is_stopped_before_says_nothing(stopped):
    with captured() as lines:
        announce(nothing_known, settled=lambda: False, stopped=stopped, booted=lambda: False)
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "announce")
        stopped.set()
        thread.join(20)
        assert not thread.is_alive()
        assert "Server started" not in lines.text


def test_credentials_that_are_about_to_be_checked_are_waited_for(stopped, monkeypatch):
    monkeypatch.setattr(module, "SETTLE_S", 20.0)
    checks = {"awsCredentials": CheckResult(CheckStatus.DEGRADED, message="shop: not checked yet")}
    looks = []

    def looked_at():
        looks.append(checks)
        return checks

    with captured() as lines:
        announce(looked_at, settled=lambda: True, stopped=stopped)
        wait_for(lambda: len(looks) > 2, 10, "it to look again and again")
        assert "Server started" not in lines.text
        checks = {"awsCredentials": CheckResult(CheckStatus.UP, message="1 account signed in")}
        wait_for(lambda: "Server started  available=awsCredentials" in lines.text, 10, "the line")
        assert "degraded" not in lines.text
