"""Azure's refusals: each answer has one of our codes, each code says who must act, and the page lists them all."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.costs.azure.errors import ANSWERS, TROUBLES, refused, shortened, trouble

DOCUMENT = Path(__file__).parents[2] / "docs/providers.md"

# Status, Azure's code, whether it says how long to wait: our code, permanent, throttled.
TABLE = [
    (400, "BadRequest", False, "AZURE_REFUSED", True, False),
    (400, "", False, "AZURE_REFUSED", True, False),
    (400, "AccountCostDisabled", False, "AZURE_COSTS_DISABLED", True, False),
    (400, "IndirectCostDisabled", False, "AZURE_COSTS_DISABLED", True, False),
    (400, "SubscriptionNotFound", False, "AZURE_NOT_FOUND", True, False),
    (401, "ExpiredAuthenticationToken", False, "AZURE_UNAUTHORIZED", True, False),
    (401, "RBACAccessDenied", False, "AZURE_FORBIDDEN", True, False),
    (403, "AuthorizationFailed", False, "AZURE_FORBIDDEN", True, False),
    (403, "AccountCostDisabled", False, "AZURE_COSTS_DISABLED", True, False),
    (403, "IndirectCostDisabled", False, "AZURE_COSTS_DISABLED", True, False),
    (404, "SubscriptionNotFound", False, "AZURE_NOT_FOUND", True, False),
    (408, "", False, "AZURE_TIMEOUT", False, False),
    (422, "", False, "AZURE_REFUSED", True, False),
    (424, "FailedDependency", False, "AZURE_UNAVAILABLE", False, False),
    (429, "429", False, "AZURE_THROTTLED", False, True),
    (429, "429", True, "AZURE_THROTTLED", False, True),
    (500, "InternalServerError", False, "AZURE_UNAVAILABLE", False, False),
    (502, "", False, "AZURE_UNAVAILABLE", False, False),
    (503, "", False, "AZURE_UNAVAILABLE", False, False),
    (503, "", True, "AZURE_BUSY", False, True),
    (504, "", False, "AZURE_TIMEOUT", False, False),
    (599, "", False, "AZURE_UNAVAILABLE", False, False),
    (302, "", False, "AZURE_REDIRECTED", True, False),
    (418, "", False, "AZURE_BAD_ANSWER", False, False),
    (100, "", False, "AZURE_BAD_ANSWER", False, False),
]


@pytest.mark.parametrize(("status", "code", "waits", "ours", "permanent", "throttled"), TABLE)
def test_an_answer_that_is_no_success_has_one_code(status, code, waits, ours, permanent, throttled):
    error = refused(status, code, "what Azure says", retry_after_s=17.0 if waits else None)
    assert (error.code, error.permanent, error.throttled) == (ours, permanent, throttled)
    assert error.retry_after_s == (17.0 if waits and throttled else None)
    assert f"status {status}" in error.summary
    assert "what Azure says" in error.summary
    assert error.hint


def test_every_row_of_the_table_is_tried():
    tried = {(status, code.lower()) for status, code, *_ in TABLE}
    for status, code in ANSWERS:
        assert any(status == one and (not code or code == other) for one, other in tried), (status, code)
    assert set(ANSWERS.values()) <= set(TROUBLES)


@pytest.mark.parametrize("code", TROUBLES)
def test_every_code_says_what_is_wrong_and_the_cure(code):
    error = trouble(code, "more")
    assert error.summary == f"{TROUBLES[code].summary}: more"
    assert len(error.hint) > 20
    assert not (error.permanent and error.throttled)
    assert error.permanent or "tried again" in error.hint or error.throttled


def test_the_page_lists_every_code_and_whether_it_passes():
    rows = dict(re.findall(r"^\| `(AZURE_[A-Z_]+)` \| (yes|no|later) \|", DOCUMENT.read_text(), re.MULTILINE))
    kinds = {code: "no" if kind.permanent else "later" if kind.throttled else "yes" for code, kind in TROUBLES.items()}
    assert rows == kinds


@settings(deadline=None)
@given(st.text(max_size=2000))
def test_what_comes_from_outside_is_one_short_line(text):
    line = shortened(text)
    assert len(line) <= 201
    assert line.isprintable()
