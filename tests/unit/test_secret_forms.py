"""A secret that is known by value: what is found of it, what is not mistaken for it, and at what cost."""

import sys
import threading
import time

import pytest

from shared.observability.crashes import redact_crashes
from shared.observability.forms import needle_of, pattern_of
from shared.observability.redactor import Redactor, hide


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("pass/word", "pass%2fword"),
        ("pass/word", "pass%252Fword"),
        ("pass word", "pass+word"),
        ("pass word", "pass%2Bword"),
        ("pass'word", "pass%5C%27word"),
        ('pass"word', 'pass\\\\\\"word'),
        ('pass"word', "pass&quot;word"),
        ("pass\nword", "pass\\nword"),
        ("passäword", "pass\\xc3\\xa4word"),
        ("passäword", "pass\\xe4word"),
        ("passäword", "pass\\u00E4word"),
        ("pass\U0001f511word", "pass\\ud83d\\udd11word"),
        ("pass\U0001f511word", "pass\\U0001f511word"),
        ("pass\udcffword", "pass\\udcffword"),
        ("pass\\\\word", "pass\\\\\\\\word"),
    ],
)
def test_a_form_is_hidden_as_a_whole(secret, written):
    assert Redactor([secret])(f"<{written}>") == "<***>"


@pytest.mark.parametrize("text", ["passwords", "pass%20word", "pass-word", "PASS/WORD", "pass/wor"])
def test_what_only_resembles_it_stays(text):
    assert Redactor(["pass/word"])(f"<{text}>") == f"<{text}>"


def test_a_secret_without_letters_and_digits_is_found_too():
    assert needle_of("#?&/:-") == ""
    assert Redactor(["#?&/:-"])("a #?&/:- b %23%3F%26%2F%3A- c") == "a *** b *** c"


def test_many_backslashes_cost_no_more_than_their_length():
    secret = "x" + "\\" * 200 + '"' * 50 + "y"
    began_s = time.process_time()
    assert not pattern_of(secret).search("x" + "\\" * 5000 + '"' * 49 + "y")
    assert time.process_time() - began_s < 5


def test_a_crash_before_there_is_a_log_is_told_without_secrets(monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    hide(["hunter2-of-the-crash"])
    redact_crashes()
    thread = threading.Thread(target=lambda: int("hunter2-of-the-crash"))
    thread.start()
    thread.join()
    sys.excepthook(ValueError, ValueError("hunter2-of-the-crash"), None)
    said = capsys.readouterr().err
    assert said.count("ValueError") == 2
    assert "hunter2" not in said
    quiet = threading.Thread(target=sys.exit)
    quiet.start()
    quiet.join()
    assert capsys.readouterr().err == ""
