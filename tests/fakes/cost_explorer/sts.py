"""STS: GetCallerIdentity and AssumeRole, in the Query protocol."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from xml.sax.saxutils import escape

from tests.fakes.cost_explorer.book import Book
from tests.fakes.cost_explorer.errors import AwsError
from tests.fakes.cost_explorer.keys import HUB, ROLE, Identity, Keys

ARN = re.compile(r"arn:aws:iam::(?P<account>\d{12}):role/(?P<role>.+)")
EXTERNAL_ID = re.compile(r"[\w+=,.@:/\-]{2,1224}", re.ASCII)


@dataclass
class Sts:
    """Every account has the role CostReader, which the hub's users may assume with the external id, if one is set."""

    book: Book
    keys: Keys
    external_id: str | None
    lifetime: timedelta = timedelta(hours=1)

    def answer(self, form: Mapping[str, str], identity: Identity) -> bytes:
        """The XML. Raises AwsError."""
        action = form.get("Action", "")
        if action == "GetCallerIdentity":
            return _xml(action, {"Arn": identity.arn, "UserId": "AIDAFAKEUSER", "Account": identity.account})
        if action == "AssumeRole":
            return self._assumed(form, identity)
        raise AwsError("InvalidAction", f"Could not find operation {action}")

    def _assumed(self, form: Mapping[str, str], identity: Identity) -> bytes:
        arn, external_id = form.get("RoleArn", ""), form.get("ExternalId")
        found = ARN.fullmatch(arn)
        if found is None:
            raise AwsError("ValidationError", f"{arn} is invalid")
        if external_id is not None and not EXTERNAL_ID.fullmatch(external_id):
            raise AwsError(
                "ValidationError",
                f"1 validation error detected: Value '{external_id}' at 'externalId' failed to satisfy constraint",
            )
        known = self.book.payer_of(found["account"]) and found["role"] == ROLE
        if not known or identity.account != HUB or external_id != self.external_id:
            raise AwsError(
                "AccessDenied", f"User: {identity.arn} is not authorized to perform: sts:AssumeRole on {arn}", 403
            )
        session = form.get("RoleSessionName", "")
        key, issued = self.keys.issue(found["account"], found["role"], session, self.lifetime)
        assert issued.expires_at is not None
        assert issued.token is not None
        credentials = {
            "AccessKeyId": key,
            "SecretAccessKey": issued.secret,
            "SessionToken": issued.token,
            "Expiration": issued.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in credentials.items())
        user = f"<Arn>{escape(issued.arn)}</Arn><AssumedRoleId>AROAFAKE:{escape(session)}</AssumedRoleId>"
        given = f"<Credentials>{inner}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
        return _wrapped("AssumeRole", given)


def _xml(action: str, fields: Mapping[str, str]) -> bytes:
    return _wrapped(action, "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items()))


def _wrapped(action: str, inner: str) -> bytes:
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{inner}</{action}Result>'
        f"<ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></{action}Response>"
    ).encode()
