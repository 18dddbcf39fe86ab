"""Who may do what: a pure decision over the headers of a request and how the process is set up."""

import hmac
import ipaddress
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

READING: Final = frozenset({"GET", "HEAD"})
# What a browser says of requests by our own pages, and by the person at it. Programs say nothing.
OWN_SITES: Final = frozenset({None, "same-origin", "none"})

_HOST = re.compile(r"(?:\[(?P<address>[^\[\]]*)\]|(?P<name>[^\[\]:,@/\s]*))(?::[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of this process: `token` (None: reading is open), the address it is bound to, whether in production."""

    token: str | None
    bound_to: str
    production: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about who asks: its method and the headers that tell.

    `host` is the target's own where the request line names one: it counts before the header.
    """

    method: str
    authorization: str | None
    host: str | None
    origin: str | None
    fetch_site: str | None
    referer: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not go on, and the challenge that goes with 401."""

    status: HTTPStatus
    message: str
    challenge: str | None = None


def refusal(access: Access, asked: Asked) -> Refusal | None:
    """None when the request may go on."""
    if access.token is not None:
        return _refuse_token(access.token, asked.authorization)
    if is_loopback(access.bound_to) and asked.host is not None and not is_loopback(host_name(asked.host)):
        # A page whose own name was made to lead to 127.0.0.1 may read what its browser gets from there.
        reason = (
            "Without API_TOKEN a loopback HOST answers only to a loopback Host header, such as localhost or 127.0.0.1"
        )
        return Refusal(HTTPStatus.FORBIDDEN, reason)
    if asked.method in READING:
        return None
    return _refuse_write(access, asked)


def is_loopback(name: str) -> bool:
    """Whether a host name or address, without a port, is this machine itself."""
    plain = name.strip().removesuffix(".").lower()
    if plain == "localhost":
        return True
    try:
        return ipaddress.ip_address(plain).is_loopback
    except ValueError:
        return False


def host_name(host_header: str) -> str:
    """The name in a Host header, without its port and without the brackets of IPv6; empty when it is none."""
    found = _HOST.fullmatch(host_header.strip())
    return (found["address"] or found["name"] or "") if found else ""


def _refuse_token(token: str, authorization: str | None) -> Refusal | None:
    if authorization is None:
        return Refusal(
            HTTPStatus.UNAUTHORIZED,
            "This API needs a token: send the header Authorization: Bearer <API_TOKEN>",
            'Bearer realm="holdfast"',
        )
    scheme, _, given = authorization.partition(" ")
    # A WSGI header is bytes read as latin-1; compare_digest takes the same time wherever the first difference is.
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode()):
        return None
    return Refusal(
        HTTPStatus.UNAUTHORIZED,
        "The token is not this API's: send the header Authorization: Bearer <API_TOKEN>",
        'Bearer realm="holdfast", error="invalid_token"',
    )


def _refuse_write(access: Access, asked: Asked) -> Refusal | None:
    """Without a token only a program on this machine may write, and no page of another site through its browser."""
    reason = None
    if access.production:
        reason = "Writing needs API_TOKEN to be set when APP_ENV is production"
    elif not is_loopback(access.bound_to):
        reason = "Writing needs API_TOKEN to be set when HOST is not a loopback address"
    elif asked.host is None:
        reason = "Writing without API_TOKEN needs a loopback Host header, such as localhost or 127.0.0.1"
    elif asked.fetch_site not in OWN_SITES or not _same_site(asked.origin or asked.referer, asked.host):
        reason = "Writing without API_TOKEN is refused to pages of another origin"
    return Refusal(HTTPStatus.FORBIDDEN, reason) if reason else None


def _same_site(origin: str | None, host: str) -> bool:
    """Programs send no Origin; a browser does with every write, "null" from a sandboxed page. Old ones send Referer."""
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.strip().lower()
    except ValueError:
        return False
