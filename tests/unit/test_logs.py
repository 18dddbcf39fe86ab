"""Log lines: their shape, what they must not hold, and that nothing goes past them."""

import io
import logging
import re
import sys
import threading
import time
from collections.abc import Callable

import pytest
from loguru import logger

from shared.observability import events
from shared.observability.flood import Away, FloodControl
from shared.observability.metrics import LOG_LINES_HELD_BACK, LOG_LINES_LOST
from shared.observability.output import Output
from shared.observability.redactor import Redactor, secrets_of_environment, secrets_of_url, secrets_of_webhook
from tests.support.logs import captured

PASSWORD = 'p"ä/ss w%rd\\x'


def test_a_text_line_holds_time_level_process_message_and_facts():
    with captured() as lines:
        logger.bind(event=events.REDIS_LOST, code="RESET", lasted_s=1.5, names=["a", "b"]).warning("Redis: Lost")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING \[test\] Redis: Lost  code=RESET lasted_s=1.5 names=a,b",
        lines.all[0],
    )


def test_a_json_line_is_one_object_with_the_facts_bound():
    with captured(fmt="json") as lines:
        logger.bind(event=events.REDIS_LOST, code="RESET", level="mine", names=["a"]).warning("Redis: {Lost}\nnow")
    (line,) = lines.json
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert line["level"] == "warning"
    assert line["fact_level"] == "mine"
    assert line["message"] == "Redis: {Lost}\nnow"
    assert (line["event"], line["process"], line["code"], line["names"]) == ("redis.lost", "test", "RESET", ["a"])


def test_a_json_line_tells_whether_it_belongs_to_a_run_or_a_request():
    with captured(fmt="json") as lines:
        logger.bind(scope=events.SCOPE_RUN).info("of a run")
        logger.info("of the process")
    assert [line.get("scope") for line in lines.json] == ["run", None]


def test_a_message_cannot_forge_a_line_of_its_own():
    with captured() as lines:
        logger.bind(name="a\nb").info("one\ntwo\x1b[31m")
    assert len(lines.all) == 1
    assert r"one\ntwo\x1b[31m  name=a\nb" in lines.all[0]


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_no_secret_leaves_in_any_form(fmt):
    secrets = (PASSWORD, "token-12345678")
    with captured(fmt=fmt, secrets=secrets) as lines:
        logger.info(f"plain {PASSWORD}")
        logger.bind(url=f"redis://:{PASSWORD}@host/0", repeated=repr(PASSWORD)).info("bound")
        logger.info("quoted p%22%C3%A4%2Fss%20w%25rd%5Cx and p%22%C3%A4%2Fss+w%25rd%5Cx")
        logger.info("GET /x?password=hunter22 with Authorization: Bearer abcdef123456")
        logging.getLogger("redis").warning("connecting to %s", "rediss://user:hunter22@host:1/0?password=hunter22")
        error = ValueError(f"postgresql://u:{PASSWORD}@h/d token-12345678")
        logger.opt(exception=error).error("failed")
    for secret in (PASSWORD, repr(PASSWORD)[1:-1], "p%22", "hunter22", "token-12345678", "abcdef123456"):
        assert secret not in lines.text
    assert "***" in lines.text
    if fmt == "json":
        assert len(lines.json) == 6


@pytest.mark.parametrize(
    "facts", [{"api_token": None}, {"secret": 5}, {"password": 'a"b'}, {"url": 'x://a"', "mail": "b@c"}]
)
def test_a_redacted_json_line_is_still_json(facts):
    with captured(fmt="json") as lines:
        logger.bind(**facts).info("Line")
    (line,) = lines.json
    assert line["message"] == "Line"
    assert 'a"b' not in str(line)


def test_the_lines_of_libraries_are_ours_too():
    logging.basicConfig()
    with captured(fmt="json") as lines:
        logging.getLogger("waitress").warning("Task %s {}", 1)
        logging.getLogger("waitress").info("too quiet to be told")
        logging.getLogger("odd").warning("%d", "no number")
    assert [(line["logger"], line["message"], line["level"]) for line in lines.json] == [
        ("waitress", "Task 1 {}", "warning"),
        ("odd", "%d", "warning"),
    ]


def test_levels_below_the_chosen_one_are_left_out():
    with captured(level="warn") as lines:
        logger.info("no")
        logger.warning("yes")
    assert [line.rpartition(" ")[2] for line in lines.all] == ["yes"]


def test_an_unhandled_error_is_a_line_without_secrets():
    with captured(secrets=("hunter22-long",)) as lines:
        thread = threading.Thread(target=lambda: int("hunter22-long"), name="doomed")
        thread.start()
        thread.join()
        error = ValueError("hunter22-long")
        sys.excepthook(ValueError, error, None)
    assert "A thread ended by an error" in lines.text
    assert "Unhandled error" in lines.text
    assert "invalid literal" in lines.text
    assert "hunter22" not in lines.text


def test_an_outage_shortens_tracebacks_and_says_how_many_lines_it_held_back():
    now = [0.0]
    flood = FloodControl(lambda: Away(redis=True), clock=lambda: now[0])
    before = LOG_LINES_HELD_BACK._value.get()
    with captured(flood=flood) as lines:
        for _ in range(40):
            logging.getLogger("library").error("Connection lost", exc_info=OSError("refused"))
        written = len(lines.all)
        now[0] = 61.0
        logger.bind(event=events.REDIS_ATTEMPT_FAILED).warning("Redis: Connection attempt")
    assert written == 1
    assert lines.all[0].endswith("OSError: refused")
    assert [line.partition("] ")[2].partition("  ")[0] for line in lines.all[1:]] == [
        "Outage: 39 further log lines were held back",
        "Redis: Connection attempt",
    ]
    assert LOG_LINES_HELD_BACK._value.get() - before == 39


def test_a_reader_that_has_gone_costs_a_line_never_an_error():
    class Gone(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError

    before = LOG_LINES_LOST._value.get()
    Output(Gone()).write("line")
    assert LOG_LINES_LOST._value.get() - before == 1


def test_secrets_of_a_url_stand_in_its_user_info_or_query():
    assert set(secrets_of_url("redis://u:p%40ss@h/0")) == {"p%40ss", "p@ss", "u:p%40ss", "u:p@ss"}
    assert list(secrets_of_url("redis://h/0?password=quux&db=1")) == ["quux"]
    assert set(secrets_of_url("postgresql://h/d?sslpassword=a%2fb+c")) == {"a%2fb+c", "a/b+c", "a/b c"}
    assert list(secrets_of_url("sqlite:///var/holdfast.db")) == []
    assert list(secrets_of_url("postgresql://holdfast@h/d")) == []


@pytest.mark.parametrize(
    "url", ["postgresql://u:pa[ss@h/d", "postgresql://u:pa/s?s@h/d", "redis://u:p\u2100ss@h/0", "x://["]
)
def test_a_password_that_no_url_may_hold_is_a_secret_all_the_same(url):
    password = url.partition("u:")[2].partition("@")[0]
    assert password in {*secrets_of_url(url), ""}


def test_a_token_that_stands_in_for_the_users_name_is_a_secret():
    assert set(secrets_of_url("rediss://0123456789abcdef@h/0")) == {"0123456789abcdef"}


def test_the_secrets_of_a_webhook_are_its_address_and_what_in_it_may_be_a_token():
    url = "https://u:pass@hooks.example.com/services/T0AB12CD34EF/xoxb-9876543210?key=0123456789abcdef&v=2"
    assert set(secrets_of_webhook(url)) == {
        url,
        "pass",
        "u:pass",
        "T0AB12CD34EF",
        "xoxb-9876543210",
        "0123456789abcdef",
    }


def test_secrets_of_the_environment_are_told_by_their_names():
    environment = {
        "AWS_SECRET_ACCESS_KEY": "a",
        "X_TOKEN": "b",
        "TOKEN_FILE": "/c",
        "HOME": "/d",
        "AWS_ACCESS_KEY_ID": "e",
        "HTTPS_PROXY": "http://u:f@proxy:3128",
        "OTHER_WEBHOOK": "https://h/",
    }
    assert set(secrets_of_environment(environment)) == {"a", "b", "f", "u:f", "https://h/"}


def test_redaction_does_not_slow_a_line_down_nor_an_endless_word():
    redact = Redactor(["secret-number-one", "x" * 40])
    line = "2026-01-01T00:00:00.000Z INFO [scheduler] Redis: Connection attempt 1/20 failed url=redis://***@localhost/0"
    with captured():
        written_s = _least_s(lambda: [logger.info("Redis: Connection attempt") for _ in range(300)])
    assert _least_s(lambda: [redact(line) for _ in range(300)]) < 20 * written_s
    # Ten times as long: ten times the work, not a hundred times.
    word = "a.-" * 2_000
    assert _least_s(lambda: redact("://" + 10 * word)) < 40 * _least_s(lambda: redact("://" + word))


def _least_s(action: Callable[[], object]) -> float:
    """Processor seconds of the quickest of a few rounds."""

    def round_s() -> float:
        began_s = time.process_time()
        action()
        return time.process_time() - began_s

    return min(round_s() for _ in range(5))
