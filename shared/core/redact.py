"""Taking credentials out of text before it is shown, logged or stored: what looks like one, by its place or shape."""

import re
from collections.abc import Sequence
from typing import Final

MASK: Final = "***"
# A secret shorter than this would blank out ordinary words.
SECRET_MIN: Final = 4

# Repeats are bounded: a long word full of dots would cost the square of its length.
_URL: Final = re.compile(r"\b[a-z][a-z0-9+.\-]{0,30}://\S+", re.IGNORECASE)
# What follows a URL in a text rather than belonging to it.
_AFTER_URL: Final = "\"'`<>()[]{},;.!\\"
_NAMES: Final = (
    r"password|passwd|pass|pwd|username|secret|token|api[_-]?key|access[_-]?key|sig|signature|credential|auth|key"
)
_QUERY_NAME: Final = rf"[?&;](?:[\w.%\-]{{0,60}}[_\-.])?(?:ssl)?(?:{_NAMES})="
_SECRET_PARAMETER: Final = re.compile(rf"(?P<name>{_QUERY_NAME}).*", re.IGNORECASE | re.DOTALL)
_QUERY: Final = re.compile(rf"(?P<name>{_QUERY_NAME})[^&#\s\"']*", re.IGNORECASE)
_ASSIGNED: Final = re.compile(
    r"(?P<name>\b[\w.\-]{0,60}(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)[\"']?\s*[=:]\s*)"
    r"(?:(?P<quote>[\"'])(?:\\.|(?!(?P=quote))[^\\\r\n])*|[^\s\"',;&}]+)",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"\b(?P<kind>bearer|basic)\s+[^\s\"',;]{6,}", re.IGNORECASE)
_COOKIE: Final = re.compile(r"(?P<name>\b(?:set-)?cookie[\"']?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
_AWS_KEY: Final = re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b")
_JWT: Final = re.compile(r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)?")
_AUTH_COMMAND: Final = re.compile(r"\b(?P<command>AUTH)\s+(?!<)\S+(?:\s+\S+)?(?=$|[\"'\]])", re.IGNORECASE)
# Letters mixed with digits, an @, or more than a word is long.
_ODD: Final = re.compile(r"(?=[^\s,]*[0-9])(?=[^\s,]*[A-Za-z])[^\s,]{8,}|@|[^\s,]{25,}")
# Redis repeats the arguments of a command that it does not know, HELLO with its password among them, cut somewhere.
_ECHOED: Final = re.compile(r"(?P<name>with args beginning with:).*", re.IGNORECASE | re.DOTALL)


def may_be_secret(value: str) -> bool:
    """Whether `value`, given where something else belongs, could be a password, a token or an address with one."""
    return bool(_ODD.search(value)) or redact_text(value) != value


def redact_url(url: str) -> str:
    """`url` without user information and without secrets in its query; a user name counts as one.

    Made for URLs with mistakes, too: whatever may still belong to a password that was not percent-encoded is hidden,
    though harmless parts go with it.
    """
    scheme, there, rest = url.partition("://")
    if not there:
        return _SECRET_PARAMETER.sub(rf"\g<name>{MASK}", url)
    userinfo, at, shown = rest.rpartition("@")
    if at and _SECRET_PARAMETER.search(userinfo):
        # The last @ may stand in the middle of that parameter's value.
        return f"{scheme}://{MASK}"
    kept = f"{MASK}@{shown}" if at else shown
    return f"{scheme}://" + _SECRET_PARAMETER.sub(rf"\g<name>{MASK}", kept)


def redact_text(text: str, secrets: Sequence[str] = ()) -> str:
    """`text` without the given `secrets`, credentials in URLs, bearer tokens, AWS keys and assigned passwords."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_MIN:
            text = text.replace(secret, MASK)
    text = _URL.sub(_redact_url_in_text, text)
    text = _QUERY.sub(rf"\g<name>{MASK}", text)
    text = _BEARER.sub(rf"\g<kind> {MASK}", text)
    text = _COOKIE.sub(rf"\g<name>{MASK}", text)
    text = _AWS_KEY.sub(MASK, text)
    text = _JWT.sub(MASK, text)
    text = _ECHOED.sub(rf"\g<name> {MASK}", text)
    text = _AUTH_COMMAND.sub(rf"\g<command> {MASK}", text)
    return _ASSIGNED.sub(_masked_value, text)


def _redact_url_in_text(found: re.Match[str]) -> str:
    url = found[0].rstrip(_AFTER_URL)
    return redact_url(url) + found[0][len(url) :]


def _masked_value(found: re.Match[str]) -> str:
    return f"{found['name']}{found['quote'] or ''}{MASK}"
