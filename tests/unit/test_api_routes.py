"""What holds for every route: methods, slashes, HEAD, and errors that are JSON whatever happens."""

import io
import json
from collections.abc import Callable
from typing import Any

import falcon
import falcon.testing
import pytest
from loguru import logger

from shared.core.errors import DatabaseUnavailableError, SchemaTooNewError
from shared.observability import metrics
from status_api.app import create_app
from status_api.errors import serialize
from tests.support.api import a_run, make_api

GETS = [
    "/api/v1/costs",
    "/api/v1/coverage",
    "/api/v1/revisions",
    "/api/v1/runs",
    "/api/v1/runs/1",
    "/api/v1/accounts",
    "/api/v1/queues",
    "/api/v1/cache/known",
    "/health/live",
    "/health/ready",
    "/health/dependencies",
    "/metrics",
    "/openapi.yaml",
]
DATA = GETS[:5]


@pytest.fixture
def api():
    made = make_api()
    made.ledger.kept[1] = a_run()
    made.link.set_value("known", "value")
    return made


@pytest.mark.parametrize("path", GETS)
def test_head_answers_wherever_get_does_without_a_body(api, path):
    full, head = api.get(path), api.request("HEAD", path)
    assert (full.status_code, head.status_code) == (200, 200)
    assert (head.content, head.headers["content-type"]) == (b"", full.headers["content-type"])
    if path != "/metrics":  # it counts the request before
        assert int(head.headers["content-length"]) == len(full.content)


@pytest.mark.parametrize("path", GETS)
def test_a_trailing_slash_is_tolerated(api, path):
    assert api.get(path + "/").status_code == 200


@pytest.mark.parametrize("path", GETS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "OPTIONS"])
def test_other_methods_are_405_and_say_which_are_allowed(api, path, method):
    answer = api.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"].startswith("GET, HEAD")
    assert answer.json["allowed"] == answer.headers["allow"].split(", ")


@pytest.mark.parametrize("method", ["PROPFIND", "CONNECT", "get", "WEBSOCKET-LIKE"])
def test_a_method_that_nobody_knows_is_405_too(api, method):
    began: list[tuple[str, dict[str, str]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: Any = None, /
    ) -> Callable[[bytes], None]:
        began.append((status, dict(headers)))
        return lambda _data: None

    environ = {**falcon.testing.create_environ("/api/v1/runs"), "REQUEST_METHOD": method}
    body = create_app(api.collaborators)(environ, start_response)
    ((status, headers),) = began
    assert (status, headers["allow"]) == ("405 Method Not Allowed", "GET, HEAD, POST")
    assert set(json.loads(b"".join(body))) == {"error", "message", "allowed"}


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/v1", "/api/v2/runs", "/api/v1/runs/1/2", "/api/v1/cache", "/api/v1/Runs", "/favicon.ico"],
)
@pytest.mark.parametrize("accept", ["text/html", "text/plain", "application/xml", "*/*", None])
def test_an_unknown_path_is_404_in_json_whatever_is_accepted(api, path, accept):
    answer = api.get(path, headers={"Accept": accept})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert set(answer.json) == {"error", "message"}


@pytest.mark.parametrize("path", [path for path in GETS if path.startswith("/api")])
def test_an_unknown_or_repeated_parameter_is_refused_and_the_known_ones_are_named(api, path):
    unknown = api.get(f"{path}?nonsense=1")
    assert (unknown.status_code, unknown.json["field"]) == (400, "nonsense")
    assert unknown.json["allowed"]
    if path == "/api/v1/runs":
        twice = api.get(f"{path}?limit=1&limit=2")
        assert (twice.status_code, twice.json["field"]) == (400, "limit")


def test_a_name_alone_is_an_empty_value_and_an_empty_value_is_refused(api):
    for query in ("limit", "limit=", "state=", "account=", "cursor=", "kind="):
        assert api.get(f"/api/v1/runs?{query}").status_code == 400, query


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize(
    "failure",
    [
        DatabaseUnavailableError(summary="could not connect to host planted-host as planted-user"),
        SchemaTooNewError(found="0009", known="0001"),
    ],
)
def test_without_the_database_data_routes_answer_503_and_when_to_try_again(api, path, failure):
    api.ledger.failure = failure
    answer = api.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "planted" not in answer.text


def test_a_mistake_of_ours_is_a_500_with_an_id_that_the_log_has_too(api):
    lines = []
    sink = logger.add(lambda message: lines.append(message.record), level="ERROR")
    counted = metrics.UNEXPECTED_ERRORS.labels(where="http")._value.get()
    api.ledger.failure = RuntimeError("planted-secret")
    try:
        answer = api.get("/api/v1/coverage")
    finally:
        logger.remove(sink)
    assert answer.status_code == 500
    assert "planted" not in answer.text
    assert "Traceback" not in answer.text
    (line,) = lines
    assert line["extra"]["error_id"] == answer.json["errorId"]
    assert line["extra"]["scope"] == "request"
    assert line["exception"].type is RuntimeError
    assert metrics.UNEXPECTED_ERRORS.labels(where="http")._value.get() == counted + 1


def test_nothing_reaches_the_error_stream_of_the_server(api):
    api.ledger.failure = RuntimeError("planted-secret")
    stream = io.StringIO()
    api.get("/api/v1/coverage", wsgierrors=stream)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("error", [falcon.HTTPBadRequest(), falcon.HTTPServiceUnavailable(description="later")])
def test_falcons_own_errors_are_json_too(api, error):
    answer = falcon.Response()
    serialize(None, answer, error)  # type: ignore[arg-type] # the request does not matter
    assert set(json.loads(answer.data or b"")) == {"error", "message"}
    assert answer.content_type == "application/json; charset=utf-8"


def test_requests_are_counted_by_route_template_and_probes_only_once(api):
    def count(route: str, status: str = "200", method: str = "GET") -> float:
        return float(metrics.HTTP_REQUESTS.labels(method=method, route=route, status=status)._value.get())

    routes = [
        ("/api/v1/runs/{run_id}", "200"),
        ("/api/v1/runs/{run_id}", "404"),
        ("none", "404"),
        ("/health/live", "200"),
    ]
    before = [count(*route) for route in routes]
    for path in ("/api/v1/runs/1", "/api/v1/runs/2", "/nowhere", "/health/live"):
        api.get(path)
    assert [count(*route) for route in routes] == [found + 1 for found in before]


def test_health_is_never_cached_and_shows_the_link(api):
    for path in ("/health/live", "/health/ready", "/health/dependencies"):
        assert api.get(path).headers["cache-control"] == "no-store"
    assert api.get("/health/dependencies").json["redis"]["status"] == "connected"
    api.link.away()
    assert api.get("/health/ready").json["checks"]["redis"]["message"] == "Connecting (attempt 4)"
