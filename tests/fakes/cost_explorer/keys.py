"""Who may ask: access keys, sessions of assumed roles, and the check of Signature Version 4."""

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

from tests.fakes.cost_explorer.book import digest
from tests.fakes.cost_explorer.errors import AwsError

# The account that Holdfast itself runs in, from which roles are assumed.
HUB = "999999999999"
ROLE = "CostReader"
SKEW = timedelta(minutes=5)
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)"
    r"/aws4_request),\s*SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
INVALID = {"ce": "UnrecognizedClientException", "sts": "InvalidClientTokenId"}
EXPIRED = {"ce": "ExpiredTokenException", "sts": "ExpiredToken"}
WRONG = {"ce": "InvalidSignatureException", "sts": "SignatureDoesNotMatch"}


class Identity(NamedTuple):
    """Who a key belongs to."""

    account: str
    arn: str
    secret: str
    token: str | None = None
    expires_at: datetime | None = None


@dataclass
class Keys:
    """The known ones. Safe to use from any thread."""

    seed: int = 1
    _known: dict[str, Identity] = field(default_factory=dict)
    _expired: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    issued: int = 0

    def of_account(self, account: str) -> tuple[str, str]:
        """Access key and secret of a user of the account, known from now on."""
        key, secret = f"AKIAFAKE{account}", digest(self.seed, "secret", account)[:40]
        with self._lock:
            self._known.setdefault(key, Identity(account, f"arn:aws:iam::{account}:user/holdfast", secret))
        return key, secret

    def issue(self, account: str, role: str, session: str, lifetime: timedelta) -> tuple[str, Identity]:
        """A session of an assumed role."""
        with self._lock:
            self.issued += 1
            number = self.issued
            key = f"ASIAFAKE{number:012d}"
            identity = Identity(
                account,
                f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
                digest(self.seed, "session secret", number)[:40],
                digest(self.seed, "session token", number) * 4,
                datetime.now(UTC) + lifetime,
            )
            self._known[key] = identity
        return key, identity

    def expire(self, account: str | None = None) -> None:
        """Expire every key and session of the account, or of all, that there are now."""
        with self._lock:
            self._expired |= {key for key, who in self._known.items() if account in {None, who.account}}

    def renew(self) -> None:
        """Nothing is expired by hand any more."""
        with self._lock:
            self._expired.clear()

    def checked(self, service: str, path: str, headers: Mapping[str, str], body: bytes) -> Identity:
        """Who signed the POST. Raises AwsError."""
        found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if found is None or "x-amz-date" not in headers:
            raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
        with self._lock:
            identity = self._known.get(found["key"])
            expired = found["key"] in self._expired
        if identity is None or found["service"] != service or identity.token != headers.get("x-amz-security-token"):
            raise AwsError(INVALID[service], "The security token included in the request is invalid", 403)
        if expired or (identity.expires_at and identity.expires_at <= datetime.now(UTC)):
            raise AwsError(EXPIRED[service], "The security token included in the request is expired", 403)
        sent_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - sent_at) > SKEW:
            raise AwsError(WRONG[service], f"Signature expired: {sent_at} is now earlier than allowed", 403)
        if not hmac.compare_digest(_signature(found, path, headers, body, identity.secret), found["signature"]):
            # AWS repeats what was signed, tokens included.
            said = "".join(f"{name}:{headers.get(name, '')}\n" for name in found["headers"].split(";"))
            raise AwsError(WRONG[service], f"The Canonical String for this request should have been\n'{said}'", 403)
        return identity


def _signature(found: re.Match[str], path: str, headers: Mapping[str, str], body: bytes, secret: str) -> str:
    names = found["headers"].split(";")
    canonical = "\n".join(
        [
            "POST",
            quote(path, safe="/-_.~"),
            "",
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in names),
            "",
            found["headers"],
            hashlib.sha256(body).hexdigest(),
        ]
    )
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], found["scope"], hashed])
    key = f"AWS4{secret}".encode()
    for part in (found["day"], found["region"], found["service"], "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()
