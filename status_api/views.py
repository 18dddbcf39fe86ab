"""Writing an answer's body."""

from collections.abc import Mapping
from typing import Any

import falcon

from status_api.errors import JSON_TYPE, encode


def answer(resp: falcon.Response, body: Mapping[str, Any]) -> None:
    """Write a success's body."""
    answer_bytes(resp, encode(body))


def answer_bytes(resp: falcon.Response, body: bytes) -> None:
    """Write a success's body that is encoded already."""
    resp.data = body
    resp.content_type = JSON_TYPE
