"""Taking credentials out of text before it is shown, logged or stored."""

import re
from collections.abc import Sequence
from typing import Final

MASK: Final = "***"
# A secret shorter than this would blank out ordinary words.
SECRET_MIN: Final = 4

# Repeats are bounded: a long word full of dots would cost the square of its length.
# scheme://user:password@host: all up to the last @ before the path is user information, as URL parsers see it.
_USERINFO: Final = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.\-]{0,30}://)(?P<user>[^\s/?#]*)@", re.IGNORECASE)
# Passwords may hold a slash by mistake; a second look takes what lies between a colon and an @.
_BROKEN_USERINFO: Final = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.\-]{0,30}://)[^\s:@]*:[^\s@]*@", re.IGNORECASE)
_NAMES: Final = (
    r"password|passwd|pwd|username|secret|token|api[_-]?key|apikey|access[_-]?key|client[_-]?secret|sig|signature"
    r"|ssl_password|x-amz-signature|x-amz-credential|x-amz-security-token|credential"
)
_QUERY: Final = re.compile(rf"(?P<name>[?&;](?:{_NAMES})=)[^&#\s\"']*", re.IGNORECASE)
_ASSIGNED: Final = re.compile(
    r"(?P<name>\b[\w.\-]{0,60}(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)[\"']?\s*[=:]\s*)"
    r"(?P<quote>[\"']?)[^\s\"',;&}]+",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\b(?P<kind>bearer|basic)\s+[A-Za-z0-9\-._~+/]{6,}=*", re.IGNORECASE)
_AWS_KEY: Final = re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b")
_JWT: Final = re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)?")
_AUTH_COMMAND: Final = re.compile(r"\b(?P<command>AUTH)\s+(?!<)\S+(?:\s+\S+)?(?=$|[\"'\]])", re.IGNORECASE)


def redact_url(url: str) -> str:
    """`url` without user information and without secrets in its query; a user name counts as one."""
    hidden = _USERINFO.sub(rf"\g<scheme>{MASK}@", url)
    hidden = _BROKEN_USERINFO.sub(rf"\g<scheme>{MASK}@", hidden)
    return _QUERY.sub(rf"\g<name>{MASK}", hidden)


def redact_text(text: str, secrets: Sequence[str] = ()) -> str:
    """`text` without the given `secrets`, credentials in URLs, bearer tokens, AWS keys and assigned passwords."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_MIN:
            text = text.replace(secret, MASK)
    text = redact_url(text)
    text = _BEARER.sub(rf"\g<kind> {MASK}", text)
    text = _AWS_KEY.sub(MASK, text)
    text = _JWT.sub(MASK, text)
    text = _AUTH_COMMAND.sub(rf"\g<command> {MASK}", text)
    return _ASSIGNED.sub(rf"\g<name>\g<quote>{MASK}", text)
