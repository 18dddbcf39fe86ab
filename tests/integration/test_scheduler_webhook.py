"""Posting to a webhook that fails, hangs, drips, redirects, or cannot be trusted."""

import subprocess
import time

import pytest

from scheduler.webhook import NotPostedError, Webhook
from tests.support.need import skip_or_fail
from tests.support.system import free_port
from tests.support.webhook import drip, endless_body, hang, hang_up, status, webhook

pytestmark = pytest.mark.integration

DOCUMENT = {"account": "corp", "day": "2026-01-31"}
KEY = "ledger-1"
# No request takes so long unless it is stuck.
FOREVER_S = 30.0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key.pem")]
    try:
        subprocess.run([*command, "-out", str(folder / "cert.pem")], check=True, capture_output=True)
    except FileNotFoundError:
        skip_or_fail("no openssl to make a certificate with")
    return folder


def post(url, *, deadline_s=FOREVER_S):
    Webhook(url, deadline_s=deadline_s).post(DOCUMENT, key=KEY)


def problem_of(url, *, deadline_s=FOREVER_S):
    with pytest.raises(NotPostedError) as caught:
        post(url, deadline_s=deadline_s)
    # The address is a secret, wherever the error comes from.
    assert "localhost" not in str(caught.value)
    assert "xoxb" not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value.summary


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_any_success_is_an_arrival(code):
    with webhook(status(code)) as server:
        post(server.url)
    (received,) = server.received
    assert (received.method, received.document) == ("POST", DOCUMENT)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["idempotency-key"] == KEY
    assert received.headers["user-agent"].startswith("holdfast/")


@pytest.mark.parametrize("code", [400, 401, 404, 410, 429, 500, 503])
def test_any_refusal_is_told_by_its_status(code):
    with webhook(status(code)) as server:
        assert problem_of(server.url) == f"answered with status {code}"


@pytest.mark.parametrize("behaviour", [hang, drip])
def test_a_server_that_hangs_or_drips_is_left_at_the_deadline(behaviour):
    began_s = time.monotonic()
    with webhook(behaviour) as server:
        assert problem_of(server.url, deadline_s=0.5) == "no answer within 0.5 s"
    assert time.monotonic() - began_s < FOREVER_S


def test_a_success_with_an_endless_body_is_an_arrival():
    with webhook(endless_body) as server:
        post(server.url)
    assert len(server.received) == 1


def test_a_server_that_hangs_up_or_is_not_there_is_told():
    with webhook(hang_up) as server:
        assert problem_of(server.url).startswith("RemoteProtocolError")
    assert problem_of(f"http://localhost:{free_port()}/xoxb").startswith("ConnectError")


@pytest.mark.parametrize("code", [307, 308])
def test_a_redirect_that_keeps_the_request_is_followed_with_all_of_it(code):
    with webhook() as target, webhook(status(code, Location=target.url)) as server:
        post(server.url)
    (received,) = target.received
    assert (received.method, received.document) == ("POST", DOCUMENT)
    assert received.headers["idempotency-key"] == KEY


@pytest.mark.parametrize("code", [301, 302, 303])
def test_a_redirect_that_would_lose_what_is_posted_is_not_followed(code):
    with webhook() as target, webhook(status(code, Location=target.url)) as server:
        assert problem_of(server.url) == f"answered with status {code}"
    assert target.received == []


def test_redirects_in_a_circle_end():
    with webhook() as server:
        server.answers = [status(307, Location=server.url)]
        assert problem_of(server.url) == "redirected more than 3 times"
        assert len(server.received) == 4


def test_a_redirect_to_nowhere_is_told():
    with webhook(status(307, Location="gopher://localhost/xoxb")) as server:
        assert problem_of(server.url).startswith("UnsupportedProtocol")


def test_a_certificate_is_checked(certificate, monkeypatch):
    with webhook(certificate=certificate) as server:
        assert "certificate verify failed" in problem_of(server.url)
        assert server.received == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        post(server.url)
        assert len(server.received) == 1


def test_a_redirect_from_https_to_http_is_not_followed(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    with webhook() as plain, webhook(status(308, Location=plain.url), certificate=certificate) as server:
        assert problem_of(server.url) == "redirected from https to http, which is not followed"
    assert plain.received == []
