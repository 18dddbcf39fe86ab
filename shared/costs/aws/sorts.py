"""The table of what AWS can answer and whose move it is then. docs/providers.md tells it, held equal by a test.

Names of AWS stand without "Exception": Cost Explorer says ExpiredTokenException where STS says ExpiredToken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """What follows: wait (the provider is well), try again, or give the run up."""

    WAIT = "wait"
    RETRY = "retry"
    ACCOUNT = "permanent for this account"
    EVERY = "permanent for every account with these credentials"


@dataclass(frozen=True, slots=True)
class Sort:
    """One kind of failure. `summary` and `hint` are filled in by shared.costs.aws.errors.

    `renewable` is what it is instead where the credentials renew themselves. `quotes`: AWS's own words are added.
    """

    code: str
    kind: Kind
    summary: str
    hint: str
    retry_after_s: float | None = None
    renewable: Kind | None = None
    quotes: bool = False


HOUR_S: Final = 3600.0

THROTTLED: Final = Sort(
    "AWS_THROTTLED",
    Kind.WAIT,
    "AWS asks for fewer requests to {service}",
    "Nothing is wrong, the run waits its turn. If it comes often: other tools that ask the Cost Explorer of {account} "
    "share its quota",
    retry_after_s=60.0,
)
UNAVAILABLE: Final = Sort(
    "AWS_UNAVAILABLE", Kind.RETRY, "AWS failed to answer", "It is tried again; AWS tells of outages on its health page"
)
UNREACHABLE: Final = Sort(
    "AWS_UNREACHABLE",
    Kind.RETRY,
    "{service} of AWS cannot be reached",
    "It is tried again. Check that the worker may reach Cost Explorer and STS of us-east-1 (HTTPS_PROXY is honoured), "
    "and the account's endpoint if it sets one",
)
EXPIRED: Final = Sort(
    "AWS_CREDENTIALS_EXPIRED",
    Kind.ACCOUNT,
    "The credentials for AWS account {account} have expired",
    "Renew {credentials}; variables need a restart, the files of a profile are read again. Then ask for the days once "
    "more (holdfast collect), or wait for the next scheduled run",
    renewable=Kind.RETRY,
)
BAD_CREDENTIALS: Final = Sort(
    "AWS_BAD_CREDENTIALS",
    Kind.ACCOUNT,
    "AWS does not accept the credentials for account {account}",
    "The access key is unknown, switched off, or its secret is wrong: correct {credentials}; variables need a restart, "
    "the files of a profile are read again",
    renewable=Kind.RETRY,
)
NO_CREDENTIALS: Final = Sort(
    "AWS_NO_CREDENTIALS",
    Kind.EVERY,
    "There are no usable AWS credentials for account {account}",
    "Give the worker AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE with its files, or a role of its machine "
    "or container; a restart reads variables anew",
)
CREDENTIALS_SOURCE: Final = Sort(
    "AWS_CREDENTIALS_SOURCE",
    Kind.RETRY,
    "The source of the AWS credentials for account {account} failed",
    "It is tried again. Check what the worker's profile or machine role asks: metadata address, SSO login, "
    "credential_process",
)
CLOCK: Final = Sort(
    "AWS_CLOCK",
    Kind.RETRY,
    "AWS takes this machine's clock for wrong",
    "Set the clock of the worker's machine (NTP); AWS allows five minutes. It is tried again",
)
DENIED: Final = Sort(
    "AWS_ACCESS_DENIED",
    Kind.ACCOUNT,
    "Cost Explorer of account {account} may not be read by {who}",
    "Allow ce:GetCostAndUsage to {who}. Cost Explorer must have been opened once in the payer's console, IAM access to "
    "billing be activated, and a member account be let in by its payer",
    quotes=True,
)
ROLE_DENIED: Final = Sort(
    "AWS_ROLE_DENIED",
    Kind.ACCOUNT,
    "AWS account {account}: {role} may not be assumed",
    "The role's trust policy must name whom Holdfast runs as, who in turn needs sts:AssumeRole on it. It was asked for "
    "{external_id}: that must be what the trust policy demands",
    quotes=True,
)
NO_EXTERNAL_ID: Final = Sort(
    "AWS_NO_EXTERNAL_ID",
    Kind.ACCOUNT,
    "AWS account {account}: the variable {external_id_env} is not set",
    "Set {external_id_env} to the external id of {role} for worker, scheduler and status API, and restart them",
)
WRONG_ACCOUNT: Final = Sort(
    "AWS_WRONG_ACCOUNT",
    Kind.ACCOUNT,
    "{who} belongs to AWS account {found}, accounts.toml says {account}",
    "Nothing was fetched: the costs of {found} would have been stored as those of {account}. Correct account_id or "
    "role_arn, or give the credentials of {account}",
)
NO_DATA: Final = Sort(
    "AWS_NO_DATA",
    Kind.RETRY,
    "Cost Explorer of account {account} has no data yet",
    "It takes up to a day after Cost Explorer was first opened; it is tried again in an hour",
    retry_after_s=HOUR_S,
)
TOO_OLD: Final = Sort(
    "AWS_TOO_OLD",
    Kind.ACCOUNT,
    "Cost Explorer of account {account} has no data for these days any more",
    "Ask for later days: AWS keeps daily costs for 14 months",
)
BAD_REQUEST: Final = Sort(
    "AWS_BAD_REQUEST",
    Kind.ACCOUNT,
    "AWS refused what {service} was asked for account {account}",
    "Daily costs reach back 14 months and no further than today: ask for other days. If these are right, please report "
    "it with this line",
    quotes=True,
)
REGION: Final = Sort(
    "AWS_REGION_OFF",
    Kind.EVERY,
    "AWS does not let us sign in through region us-east-1",
    "Activate STS for us-east-1 in the account's settings; Cost Explorer is in no other region",
)
CHANGED: Final = Sort(
    "AWS_PAGES_CHANGED",
    Kind.RETRY,
    "AWS lost the thread between two pages of account {account}'s costs",
    "Nothing was stored. It is tried again from the first page, which AWS charges again",
)
ENDLESS: Final = Sort(
    "AWS_ENDLESS_PAGES",
    Kind.ACCOUNT,
    "AWS offered more than {pages} pages for account {account}",
    "Each page costs 0.01 USD, so that it was stopped. Ask for fewer days at a time (holdfast collect --start --end)",
)
BAD_ANSWER: Final = Sort(
    "AWS_BAD_ANSWER",
    Kind.RETRY,
    "Cost Explorer's answer for account {account} makes no sense",
    "Nothing was stored, and it is tried again. If it stays, please report it with this line",
)
UNEXPECTED: Final = Sort(
    "AWS_UNEXPECTED",
    Kind.RETRY,
    "AWS answered {service} for account {account} with an error that Holdfast does not know",
    "It is tried again. If it stays, please report it with this line",
)

SORTS: Final = (
    THROTTLED, UNAVAILABLE, UNREACHABLE, EXPIRED, BAD_CREDENTIALS, NO_CREDENTIALS, CREDENTIALS_SOURCE, CLOCK, DENIED,
    ROLE_DENIED, NO_EXTERNAL_ID, WRONG_ACCOUNT, NO_DATA, TOO_OLD, BAD_REQUEST, REGION, CHANGED, ENDLESS, BAD_ANSWER,
    UNEXPECTED,
)  # fmt: skip

# By AWS's own name of the error.
BY_AWS_CODE: Final[Mapping[str, Sort]] = MappingProxyType(
    {
        "BandwidthLimitExceeded": THROTTLED,
        "LimitExceeded": THROTTLED,
        "PriorRequestNotComplete": THROTTLED,
        "RequestLimitExceeded": THROTTLED,
        "RequestThrottled": THROTTLED,
        "SlowDown": THROTTLED,
        "Throttled": THROTTLED,
        "Throttling": THROTTLED,
        "TooManyRequests": THROTTLED,
        "InternalError": UNAVAILABLE,
        "InternalFailure": UNAVAILABLE,
        "InternalServerError": UNAVAILABLE,
        "InternalServer": UNAVAILABLE,
        "RequestTimeout": UNAVAILABLE,
        "ServiceUnavailable": UNAVAILABLE,
        "ExpiredToken": EXPIRED,
        "AuthFailure": BAD_CREDENTIALS,
        "IncompleteSignature": BAD_CREDENTIALS,
        "InvalidAccessKeyId": BAD_CREDENTIALS,
        "InvalidClientTokenId": BAD_CREDENTIALS,
        "InvalidSignature": BAD_CREDENTIALS,
        "MissingAuthenticationToken": BAD_CREDENTIALS,
        "SignatureDoesNotMatch": BAD_CREDENTIALS,
        "UnrecognizedClient": BAD_CREDENTIALS,
        "RequestExpired": CLOCK,
        "RequestTimeTooSkewed": CLOCK,
        "AccessDenied": DENIED,
        "NotAuthorized": DENIED,
        "OptInRequired": DENIED,
        "UnauthorizedOperation": DENIED,
        "BillingViewHealthStatus": NO_DATA,
        "DataUnavailable": NO_DATA,
        "BillExpiration": TOO_OLD,
        "InvalidParameterValue": BAD_REQUEST,
        "ResourceNotFound": BAD_REQUEST,
        "Serialization": BAD_REQUEST,
        "Validation": BAD_REQUEST,
        "ValidationError": BAD_REQUEST,
        "RegionDisabled": REGION,
        "InvalidNextToken": CHANGED,
        "RequestChanged": CHANGED,
    }
)
# What AssumeRole means by the same words: here it is the role that is wrong, or its external id.
ASSUME_ROLE: Final[Mapping[str, Sort]] = MappingProxyType(
    {
        "AccessDenied": ROLE_DENIED,
        "NoSuchEntity": ROLE_DENIED,
        # STS repeats an external id that it takes for malformed.
        "ValidationError": replace(ROLE_DENIED, quotes=False),
    }
)
# By the names of botocore's own exceptions and of their bases: nobody at AWS was asked, or nobody answered.
BY_EXCEPTION: Final[Mapping[str, Sort]] = MappingProxyType(
    {
        "ConfigNotFound": NO_CREDENTIALS,
        "ConfigParseError": NO_CREDENTIALS,
        "InvalidConfigError": NO_CREDENTIALS,
        "NoCredentialsError": NO_CREDENTIALS,
        "PartialCredentialsError": NO_CREDENTIALS,
        "ProfileNotFound": NO_CREDENTIALS,
        "UnknownCredentialError": NO_CREDENTIALS,
        "LoginError": EXPIRED,
        "SSOTokenLoadError": EXPIRED,
        "TokenRetrievalError": EXPIRED,
        "UnauthorizedSSOTokenError": EXPIRED,
        "CredentialRetrievalError": CREDENTIALS_SOURCE,
        "MetadataRetrievalError": CREDENTIALS_SOURCE,
        "ConnectionError": UNREACHABLE,
        "HTTPClientError": UNREACHABLE,
        "ResponseParserError": UNAVAILABLE,
    }
)
