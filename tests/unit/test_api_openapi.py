"""openapi.yaml: well formed, and neither more nor less than the application."""

import re

import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from shared.core.anomalies import AnomalyKind
from shared.core.costs import CoverageState, Metric
from shared.core.exports import ExportFormat
from shared.core.runs import RunKind, RunState
from shared.core.version import VERSION
from status_api import params
from status_api.app import routes
from status_api.body import MAX_BODY_BYTES
from status_api.collaborators import OPENAPI_FILE
from status_api.middleware import methods_of
from tests.support.api import Description, make_api

DOCUMENT = yaml.safe_load(OPENAPI_FILE.read_text())


def test_it_is_openapi():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_is_served_as_it_stands():
    answer = make_api().get("/openapi.yaml")
    assert answer.content == OPENAPI_FILE.read_bytes()
    assert answer.headers["content-type"].startswith("application/yaml")


def test_it_has_the_routes_and_methods_of_the_application_and_no_others():
    served = {
        path: {"GET"} if path.startswith(("/health", "/metrics")) else set(methods_of(resource)) - {"HEAD"}
        for path, resource in routes(make_api().collaborators).items()
    }
    described = {path: set(operations) for path, operations in Description().operations().items()}
    assert described == served


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ("RunState", RunState),
        ("RunKind", RunKind),
        ("Metric", Metric),
        ("CoverageState", CoverageState),
        ("AnomalyKind", AnomalyKind),
        ("Group", params.GROUPS),
        ("ExportFormat", ExportFormat),
    ],
)
def test_its_enumerations_are_the_codes(schema, values):
    assert DOCUMENT["components"]["schemas"][schema]["enum"] == [str(value) for value in values]


def test_its_numbers_are_the_codes():
    parameters = {
        found["name"]: found for found in DOCUMENT["paths"]["/api/v1/runs"]["get"]["parameters"] if "name" in found
    }
    limit = parameters["limit"]["schema"]
    assert (limit["maximum"], limit["default"]) == (params.MAX_LIMIT, params.DEFAULT_LIMIT)
    assert DOCUMENT["info"]["version"] == VERSION
    text = OPENAPI_FILE.read_text()
    assert f"{MAX_BODY_BYTES} bytes" in text
    assert f"at most {params.MAX_DAYS} days" in re.sub(r"\s+", " ", text)


def test_its_parameters_are_those_that_the_application_takes():
    components = DOCUMENT["components"]["parameters"]
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if method != "get" or "{" in path or not path.startswith("/api"):
                continue
            names = [
                components[found["$ref"].rpartition("/")[2]]["name"] if "$ref" in found else found["name"]
                for found in operation.get("parameters", [])
            ]
            refused = make_api().get(f"{path}?nonsense=1").json["allowed"]
            assert refused == (", ".join(names) or "no parameters"), path


def test_every_operation_says_what_its_errors_look_like():
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            if method == "parameters" or not path.startswith("/api"):
                continue
            codes = set(operation["responses"])
            assert {"400", "401", "403", "500", "503"} <= codes, (path, method)


def test_a_wrong_answer_would_be_noticed():
    """The judge itself: an answer that the description does not give fails."""
    described = Description()
    api = make_api()
    answer = api.get("/api/v1/runs")
    with pytest.raises(Exception, match="were unexpected"):
        described.check("GET", "/api/v1/coverage", answer)
    with pytest.raises(AssertionError, match="is not described"):
        described.check("PUT", "/api/v1/runs", answer)
