"""What AWS's errors mean for a run: one row for each."""

from pathlib import Path

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from shared.core.errors import ProviderError
from shared.costs.aws import sorts
from shared.costs.aws.access import Access
from shared.costs.aws.errors import explained, failure, sort_of
from shared.costs.aws.sorts import BY_AWS_CODE, SORTS, Kind

ROLE = "arn:aws:iam::123456789012:role/CostReader"
ACCESS = Access("123456789012")
WITH_ROLE = Access("123456789012", ROLE, "CORP_EXTERNAL_ID")
USAGE = "GetCostAndUsage"


def aws_error(name, message="", *, status=400, operation=USAGE, **headers):
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": name, "Message": message}, "ResponseMetadata": metadata}, operation)  # type: ignore[typeddict-item] # no more is read


WAIT, RETRY, END = "wait", "retry", "end"
ROWS = [
    ("BandwidthLimitExceeded", "AWS_THROTTLED", WAIT),
    ("LimitExceededException", "AWS_THROTTLED", WAIT),
    ("PriorRequestNotComplete", "AWS_THROTTLED", WAIT),
    ("RequestLimitExceeded", "AWS_THROTTLED", WAIT),
    ("RequestThrottledException", "AWS_THROTTLED", WAIT),
    ("SlowDown", "AWS_THROTTLED", WAIT),
    ("ThrottledException", "AWS_THROTTLED", WAIT),
    ("Throttling", "AWS_THROTTLED", WAIT),
    ("ThrottlingException", "AWS_THROTTLED", WAIT),
    ("TooManyRequestsException", "AWS_THROTTLED", WAIT),
    ("InternalError", "AWS_UNAVAILABLE", RETRY),
    ("InternalFailure", "AWS_UNAVAILABLE", RETRY),
    ("InternalServerError", "AWS_UNAVAILABLE", RETRY),
    ("InternalServerException", "AWS_UNAVAILABLE", RETRY),
    ("RequestTimeout", "AWS_UNAVAILABLE", RETRY),
    ("ServiceUnavailable", "AWS_UNAVAILABLE", RETRY),
    ("ExpiredToken", "AWS_CREDENTIALS_EXPIRED", END),
    ("ExpiredTokenException", "AWS_CREDENTIALS_EXPIRED", END),
    ("AuthFailure", "AWS_BAD_CREDENTIALS", END),
    ("IncompleteSignature", "AWS_BAD_CREDENTIALS", END),
    ("InvalidAccessKeyId", "AWS_BAD_CREDENTIALS", END),
    ("InvalidClientTokenId", "AWS_BAD_CREDENTIALS", END),
    ("InvalidSignatureException", "AWS_BAD_CREDENTIALS", END),
    ("MissingAuthenticationTokenException", "AWS_BAD_CREDENTIALS", END),
    ("SignatureDoesNotMatch", "AWS_BAD_CREDENTIALS", END),
    ("UnrecognizedClientException", "AWS_BAD_CREDENTIALS", END),
    ("RequestExpired", "AWS_CLOCK", RETRY),
    ("RequestTimeTooSkewed", "AWS_CLOCK", RETRY),
    ("AccessDenied", "AWS_ACCESS_DENIED", END),
    ("AccessDeniedException", "AWS_ACCESS_DENIED", END),
    ("NotAuthorized", "AWS_ACCESS_DENIED", END),
    ("OptInRequired", "AWS_ACCESS_DENIED", END),
    ("UnauthorizedOperation", "AWS_ACCESS_DENIED", END),
    ("BillingViewHealthStatusException", "AWS_NO_DATA", RETRY),
    ("DataUnavailableException", "AWS_NO_DATA", RETRY),
    ("BillExpirationException", "AWS_TOO_OLD", END),
    ("InvalidParameterValue", "AWS_BAD_REQUEST", END),
    ("ResourceNotFoundException", "AWS_BAD_REQUEST", END),
    ("SerializationException", "AWS_BAD_REQUEST", END),
    ("ValidationException", "AWS_BAD_REQUEST", END),
    ("ValidationError", "AWS_BAD_REQUEST", END),
    ("RegionDisabledException", "AWS_REGION_OFF", END),
    ("InvalidNextTokenException", "AWS_PAGES_CHANGED", RETRY),
    ("RequestChangedException", "AWS_PAGES_CHANGED", RETRY),
    ("NobodyKnowsException", "AWS_UNEXPECTED", RETRY),
]


def ending(error: ProviderError) -> str:
    assert not (error.throttled and error.permanent)
    if error.throttled:
        return WAIT
    return END if error.permanent else RETRY


@pytest.mark.parametrize(("name", "code", "then"), ROWS)
def test_each_error_of_aws_has_its_code_and_what_follows(name, code, then):
    error = explained(aws_error(name), ACCESS)
    assert (error.code, ending(error)) == (code, then)
    assert name in error.summary
    assert len(error.hint) > 30


def test_no_error_of_the_table_is_without_a_row_here():
    assert set(BY_AWS_CODE) <= {name.removesuffix("Exception") for name, _, _ in ROWS}


@pytest.mark.parametrize(
    ("error", "code", "then"),
    [
        (exceptions.NoCredentialsError(), "AWS_NO_CREDENTIALS", END),
        (exceptions.PartialCredentialsError(provider="env", cred_var="x"), "AWS_NO_CREDENTIALS", END),
        (exceptions.ProfileNotFound(profile="corp"), "AWS_NO_CREDENTIALS", END),
        (exceptions.ConfigNotFound(path="x"), "AWS_NO_CREDENTIALS", END),
        (exceptions.ConfigParseError(path="x"), "AWS_NO_CREDENTIALS", END),
        (exceptions.InvalidConfigError(error_msg="x"), "AWS_NO_CREDENTIALS", END),
        (exceptions.UnknownCredentialError(name="x"), "AWS_NO_CREDENTIALS", END),
        (exceptions.LoginError(), "AWS_CREDENTIALS_EXPIRED", END),
        (exceptions.SSOTokenLoadError(error_msg="x"), "AWS_CREDENTIALS_EXPIRED", END),
        (exceptions.UnauthorizedSSOTokenError(), "AWS_CREDENTIALS_EXPIRED", END),
        (exceptions.TokenRetrievalError(provider="sso", error_msg="x"), "AWS_CREDENTIALS_EXPIRED", END),
        (exceptions.CredentialRetrievalError(provider="x", error_msg="x"), "AWS_CREDENTIALS_SOURCE", RETRY),
        (exceptions.MetadataRetrievalError(error_msg="x"), "AWS_CREDENTIALS_SOURCE", RETRY),
        (exceptions.EndpointConnectionError(endpoint_url="https://x"), "AWS_UNREACHABLE", RETRY),
        (exceptions.ConnectTimeoutError(endpoint_url="https://x"), "AWS_UNREACHABLE", RETRY),
        (exceptions.ReadTimeoutError(endpoint_url="https://x"), "AWS_UNREACHABLE", RETRY),
        (exceptions.ConnectionClosedError(endpoint_url="https://x"), "AWS_UNREACHABLE", RETRY),
        (exceptions.SSLError(endpoint_url="https://x", error=OSError()), "AWS_UNREACHABLE", RETRY),
        (exceptions.ProxyConnectionError(proxy_url="http://user:pw@proxy", error="x"), "AWS_UNREACHABLE", RETRY),
        (exceptions.HTTPClientError(error="x"), "AWS_UNREACHABLE", RETRY),
        (ResponseParserError("x"), "AWS_UNAVAILABLE", RETRY),
        (exceptions.ParamValidationError(report="x"), "AWS_UNEXPECTED", RETRY),
    ],
)
def test_what_botocore_raises_itself_is_told_by_its_name_alone(error, code, then):
    found = explained(error, ACCESS)
    assert (found.code, ending(found)) == (code, then)
    assert found.summary.endswith(f": {type(error).__name__}")


def test_an_exception_that_is_not_botocores_stays_what_it_is():
    with pytest.raises(ZeroDivisionError):
        explained(ZeroDivisionError(), ACCESS)


@pytest.mark.parametrize("name", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_credentials_that_renew_themselves_are_tried_again(name):
    assert ending(explained(aws_error(name), WITH_ROLE, renewable=True)) == RETRY


@pytest.mark.parametrize("name", ["AccessDenied", "ValidationError", "NoSuchEntity"])
def test_a_role_that_cannot_be_assumed_is_another_error_than_costs_that_cannot_be_read(name):
    error = explained(aws_error(name, operation="AssumeRole"), WITH_ROLE)
    assert (error.code, ending(error)) == ("AWS_ROLE_DENIED", END)
    assert ROLE in error.summary
    assert "CORP_EXTERNAL_ID" in error.hint


def test_a_role_without_external_id_is_told_as_such():
    error = explained(aws_error("AccessDenied", operation="AssumeRole"), Access("123456789012", ROLE))
    assert "external_id_env is not set" in error.hint


def test_an_expired_key_says_which_account_and_what_to_renew():
    error = explained(aws_error("ExpiredToken", operation="AssumeRole"), WITH_ROLE)
    assert error.summary.startswith("The credentials for AWS account 123456789012 have expired")
    assert "the AWS credentials that Holdfast runs with" in error.hint


@pytest.mark.parametrize("message", ["Signature expired: 2026 is now earlier", "Signature not yet current: 2026"])
def test_a_wrong_clock_is_not_taken_for_a_wrong_key(message):
    assert sort_of("InvalidSignatureException", message) is sorts.CLOCK


@pytest.mark.parametrize(
    ("status", "code"), [(429, "AWS_THROTTLED"), (500, "AWS_UNAVAILABLE"), (418, "AWS_UNEXPECTED")]
)
def test_an_unknown_error_goes_by_its_status(status, code):
    assert sort_of("Strange", status=status).code == code


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [({}, 60), ({"retry-after": "30"}, 60), ({"retry-after": "900"}, 900), ({"retry-after": "9" * 9}, 3600)],
)
def test_throttled_runs_wait_what_was_asked_for_and_a_minute_at_least(headers, wait_s):
    assert explained(aws_error("LimitExceededException", **headers), ACCESS).retry_after_s == wait_s


def test_no_data_yet_is_looked_for_in_an_hour():
    assert explained(aws_error("DataUnavailableException"), ACCESS).retry_after_s == 3600


def test_what_aws_says_of_a_signature_is_never_repeated():
    error = explained(aws_error("SignatureDoesNotMatch", "x-amz-security-token:IQoJb3JpZ2lu"), ACCESS)
    assert "IQoJb3JpZ2lu" not in error.summary + error.hint


def test_what_is_quoted_is_cut_and_without_secrets():
    error = explained(aws_error("AccessDenied", "no shared-secret-1 " + "x" * 999), ACCESS, secrets=["shared-secret-1"])
    assert "no *** xxx" in error.summary
    assert len(error.summary) < 400


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.code)
def test_every_sort_can_be_told_and_says_what_to_do(sort):
    error = failure(sort, WITH_ROLE, found="210987654321", pages=1000)
    assert "{" not in error.summary + error.hint
    assert error.summary[0].isupper()
    assert error.hint[0].isupper()


def test_every_code_has_its_line_in_the_documentation():
    documented = Path("docs/providers.md").read_text()
    lines = {line.split("|")[1].strip(): line for line in documented.splitlines() if line.startswith("| `AWS_")}
    kinds = {Kind.WAIT: "waits", Kind.RETRY: "yes", Kind.ACCOUNT: "no", Kind.EVERY: "no, for every account"}
    assert {code.strip("`") for code in lines} == {sort.code for sort in SORTS}
    for sort in SORTS:
        assert lines[f"`{sort.code}`"].split("|")[2].strip().startswith(kinds[sort.kind])
    for name in BY_AWS_CODE:
        assert f"`{name}`" in documented, name
