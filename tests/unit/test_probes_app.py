"""The probe application: paths, methods and errors."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.bootstrap.health import ProcessHealth
from shared.core.health import CheckResult, CheckStatus
from shared.observability.metrics import HTTP_REQUESTS
from shared.probes.app import probe_app
from tests.support.logs import captured
from tests.unit.test_health_bodies import sources

PATHS = ("/health/live", "/health/ready", "/health/dependencies", "/metrics")


def ask(
    path: str,
    method: str = "GET",
    health: ProcessHealth | None = None,
    metrics: Callable[[], bytes] = lambda: b"page",
) -> tuple[int, dict[str, str], bytes]:
    found: dict[str, Any] = {}

    def start_response(status, headers, _error=None):
        found.update(status=int(status.split()[0]), headers=dict(headers))

    app = probe_app(health or ProcessHealth(sources()), metrics)
    body = b"".join(app({"REQUEST_METHOD": method, "PATH_INFO": path}, start_response))
    return found["status"], found["headers"], body


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_get_and_head_with_or_without_a_slash(path):
    status, headers, body = ask(path)
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    assert int(headers["Content-Length"]) == len(body)
    assert ask(path + "/")[0] == 200
    head_status, head_headers, head_body = ask(path, "HEAD")
    assert (head_status, head_body, head_headers["Content-Type"]) == (200, b"", headers["Content-Type"])


@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_405_with_what_is_allowed(path):
    status, headers, body = ask(path, "POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert set(json.loads(body)) == {"error", "message"}


def test_an_unknown_path_is_a_json_404_and_no_label_of_its_own():
    status, headers, body = ask("/health/nothing")
    assert (status, headers["Content-Type"]) == (404, "application/json; charset=utf-8")
    assert set(json.loads(body)) == {"error", "message"}
    assert HTTP_REQUESTS.labels(method="GET", route="unknown", status="404")._value.get() >= 1


def test_metrics_are_text():
    assert ask("/metrics")[1]["Content-Type"].startswith("text/plain; version=0.0.4")


def test_an_unhealthy_process_answers_503():
    down = CheckResult(CheckStatus.DOWN, vital=True)
    assert ask("/health/ready", health=ProcessHealth(sources(database=lambda: down)))[0] == 503


def test_a_draining_process_answers_503():
    status, _, body = ask("/health/ready", health=ProcessHealth(sources(draining=lambda: True)))
    assert (status, json.loads(body)["draining"]) == (503, True)


def test_a_stuck_process_answers_503():
    health = ProcessHealth(sources())
    health.add_liveness(lambda: "stuck")
    assert ask("/health/live", health=health)[0] == 503


def test_an_error_in_a_probe_is_a_json_500_without_its_text():
    def fail():
        raise RuntimeError("redis://:password@host")

    with captured() as lines:
        status, _, body = ask("/metrics", metrics=fail)
    assert status == 500
    assert b"password" not in body
    assert "A probe could not be answered" in lines.text
