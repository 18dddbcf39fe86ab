"""Who may do what: the decision as a table, and as answers."""

from http import HTTPStatus

import pytest

from status_api.access import Access, Asked, host_name, is_loopback, refusal
from tests.support.api import make_api

TOKEN = "correct-horse-battery"
OPEN = Access(token=None, bound_to="127.0.0.1", production=False)
GUARDED = Access(token=TOKEN, bound_to="0.0.0.0", production=True)


def asked(
    method: str = "POST",
    *,
    authorization: str | None = None,
    host: str | None = "127.0.0.1:4000",
    origin: str | None = None,
    fetch_site: str | None = None,
    referer: str | None = None,
) -> Asked:
    return Asked(method, authorization, host, origin=origin, fetch_site=fetch_site, referer=referer)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("host", ["127.0.0.1:4000", "example.org", None])
@pytest.mark.parametrize("production", [True, False])
def test_reading_is_open_without_a_token_whoever_asks(method, host, production):
    access = Access(token=None, bound_to="0.0.0.0", production=production)
    assert refusal(access, asked(method, host=host, origin="http://evil.example")) is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("bound_to", ["127.0.0.1", "::1", "localhost"])
@pytest.mark.parametrize(
    ("host", "refused"),
    [
        (None, False),
        ("localhost", False),
        ("127.0.0.1:4000", False),
        ("[::1]:4000", False),
        ("rebound.example:4000", True),
        ("127.0.0.1.rebound.example", True),
        ("", True),
        ("localhost, rebound.example", True),
        ("localhost:4000, rebound.example", True),
        ("localhost:4000@rebound.example", True),
        ("localhost:port", True),
    ],
)
def test_a_process_bound_to_loopback_is_not_read_under_a_name_of_another(method, bound_to, host, refused):
    access = Access(token=None, bound_to=bound_to, production=False)
    found = refusal(access, asked(method, host=host, fetch_site="same-origin"))
    assert (found is not None) == refused
    if found:
        assert found.status is HTTPStatus.FORBIDDEN
        assert "API_TOKEN" in found.message


@pytest.mark.parametrize(
    ("access", "request_", "refused"),
    [
        (OPEN, asked(), False),
        (OPEN, asked("DELETE"), False),
        (OPEN, asked(host="localhost"), False),
        (OPEN, asked(host="LocalHost.:4000"), False),
        (OPEN, asked(host="[::1]:4000"), False),
        (OPEN, asked(host="127.8.8.8"), False),
        (Access(token=None, bound_to="::1", production=False), asked(), False),
        (Access(token=None, bound_to="localhost", production=False), asked(), False),
        (Access(token=None, bound_to="0.0.0.0", production=False), asked(), True),
        (Access(token=None, bound_to="", production=False), asked(), True),
        (Access(token=None, bound_to="192.0.2.7", production=False), asked(), True),
        (Access(token=None, bound_to="127.0.0.1", production=True), asked(), True),
        (OPEN, asked(host=None), True),
        (OPEN, asked(host=""), True),
        (OPEN, asked(host="evil.example:4000"), True),
        (OPEN, asked(host="127.0.0.1.evil.example"), True),
        (OPEN, asked(host="localhost.evil.example"), True),
        (OPEN, asked(host="[::1.evil"), True),
        (OPEN, asked(origin="http://127.0.0.1:4000"), False),
        (OPEN, asked(origin="HTTP://127.0.0.1:4000"), False),
        (OPEN, asked(origin="http://127.0.0.1:5000"), True),
        (OPEN, asked(origin="http://evil.example"), True),
        (OPEN, asked(origin="null"), True),
        (OPEN, asked(origin="http://[half"), True),
        (OPEN, asked(fetch_site="cross-site"), True),
        (OPEN, asked(fetch_site="same-site"), True),
        (OPEN, asked(fetch_site="none"), False),
        (OPEN, asked(referer="http://127.0.0.1:4000/page"), False),
        (OPEN, asked(referer="http://evil.example/page"), True),
        (OPEN, asked(origin="http://127.0.0.1:4000", referer="http://evil.example/page"), False),
        (OPEN, asked(fetch_site="same-origin", origin="http://127.0.0.1:4000"), False),
    ],
)
def test_writing_without_a_token_is_for_programs_on_this_machine(access, request_, refused):
    found = refusal(access, request_)
    assert (found is not None) == refused
    if found:
        assert found.status is HTTPStatus.FORBIDDEN
        assert found.challenge is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize(
    ("authorization", "refused"),
    [
        (f"Bearer {TOKEN}", False),
        (f"bearer {TOKEN}", False),
        (f"BEARER   {TOKEN} ", False),
        (None, True),
        ("", True),
        ("Bearer", True),
        ("Bearer wrong", True),
        (f"Bearer {TOKEN}x", True),
        (f"Bearer {TOKEN[:-1]}", True),
        (f"Basic {TOKEN}", True),
        (TOKEN, True),
        ("Bearer \xff\xfe", True),
        ("Bearer \u20ac", True),
    ],
)
def test_with_a_token_every_request_needs_it_and_nothing_else(method, authorization, refused):
    found = refusal(GUARDED, asked(method, authorization=authorization, host="anything", origin="http://a.example"))
    assert (found is not None) == refused
    if found:
        assert found.status is HTTPStatus.UNAUTHORIZED
        assert found.challenge
        assert found.challenge.startswith("Bearer")


def test_a_token_beyond_ascii_is_compared_byte_by_byte():
    token = "p\u00e4ssw\u00f6rter"
    access = Access(token=token, bound_to="127.0.0.1", production=False)
    # A server hands the header's bytes over as latin-1.
    sent = token.encode().decode("latin-1")
    assert refusal(access, asked(authorization=f"Bearer {sent}")) is None


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("a.example:80", "a.example"),
        ("a.example", "a.example"),
        ("[::1]:80", "::1"),
        ("[::1]", "::1"),
        ("", ""),
        ("a.example:x", ""),
        ("a.example:80, b.example", ""),
        ("[::1]x", ""),
    ],
)
def test_a_host_header_is_taken_apart(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize("name", ["", "0.0.0.0", "::", "example.org", "1.127.0.0", "localhost.example.org"])
def test_what_is_not_this_machine_is_no_loopback(name):
    assert not is_loopback(name)


def test_a_request_without_the_token_is_a_401_with_a_challenge():
    api = make_api(access=GUARDED)
    for method, path in (
        ("GET", "/api/v1/costs"),
        ("GET", "/api/v1/runs/1"),
        ("POST", "/api/v1/runs"),
        ("DELETE", "/api/v1/cache/a"),
        ("GET", "/api/v1/queues"),
    ):
        answer = api.request(method, path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert api.request(method, path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert api.ledger.asked == []
    assert api.get("/api/v1/costs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/dependencies", "/metrics", "/openapi.yaml"])
def test_probes_metrics_and_the_description_need_no_token(path):
    assert make_api(access=GUARDED).get(path).status_code == 200


def test_the_method_comes_before_authorisation_and_authorisation_before_the_body():
    api = make_api(access=GUARDED)
    refused = api.request("PUT", "/api/v1/runs")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert api.get("/api/v1/nothing").status_code == 404
    assert api.post("/api/v1/runs", body="{broken", headers={"Content-Type": "text/plain"}).status_code == 401
    assert api.get("/api/v1/costs?nonsense=1").status_code == 401


def test_authorisation_comes_before_the_guard():
    api = make_api(access=GUARDED)
    api.link.away()
    assert api.get("/api/v1/queues").status_code == 401


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_page_of_another_site_cannot_write_through_a_browser(headers):
    api = make_api()
    assert api.post("/api/v1/runs", {"account": "one"}, headers=headers).status_code == 403
    assert api.delete("/api/v1/runs/1", headers=headers).status_code == 403
    assert api.ledger.asked == []
