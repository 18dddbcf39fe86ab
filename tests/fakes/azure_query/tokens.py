"""Tokens in the shape of Entra's: a JWT that names its tenant and its end, signed by nobody."""

import base64
import json
import time
from itertools import count
from typing import Any

_serial = count(1)


def token_for(tenant: str, *, expires_in_s: float = 3600.0) -> str:
    """A token that the fake takes until it expires; no two are the same."""
    now_s = time.time()
    said = {
        "tid": tenant,
        "appid": "00000000-feed-4000-8000-000000000001",
        "exp": int(now_s + expires_in_s),
        "iat": int(now_s),
        "jti": next(_serial),
    }
    return ".".join([_part({"typ": "JWT", "alg": "none"}), _part(said), "fake-signature"])


def said_by(token: str) -> dict[str, Any] | None:
    """What a token of ours says, None for any other."""
    parts = token.split(".")
    if len(parts) != 3 or parts[2] != "fake-signature":
        return None
    try:
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except ValueError:
        return None
    return found


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
