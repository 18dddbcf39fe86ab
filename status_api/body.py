"""The JSON object in a request's body."""

import json
from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Any, Final

import falcon

from shared.core.errors import RequestError
from status_api.errors import ApiError
from status_api.params import shown

MAX_BODY_BYTES: Final = 16_384


def json_object(req: falcon.Request, allowed: Collection[str]) -> dict[str, Any]:
    """Read the body: an object with only `allowed` fields, empty when nothing was sent.

    A field that is null counts as left out. Raises ApiError (413, 415), RequestError.
    """
    raw = _read(req)
    if not raw:
        return {}
    found = _parsed(raw)
    if not isinstance(found, dict):
        raise RequestError(field="body", problem="is not an object", allowed=f"{{}} with {', '.join(allowed)}")
    for name in found:
        if name not in allowed:
            raise RequestError(field=shown(name), problem="is not a field of this body", allowed=", ".join(allowed))
    return {name: value for name, value in found.items() if value is not None}


def _read(req: falcon.Request) -> bytes:
    if (req.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    # The server buffers a body and states its length, also one that came in chunks.
    raw = req.bounded_stream.read()
    if raw and not _is_json(req.content_type):
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            message="A body must be JSON: send it with Content-Type: application/json",
            facts={"allowed": "application/json"},
        )
    return raw


def _too_large() -> ApiError:
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        message=f"The body is larger than {MAX_BODY_BYTES} bytes",
        facts={"allowed": f"at most {MAX_BODY_BYTES} bytes"},
    )


def _is_json(content_type: str | None) -> bool:
    kind, _, parameters = (content_type or "").lower().partition(";")
    return kind.strip() == "application/json" and parameters.replace(" ", "") in {
        "",
        "charset=utf-8",
        'charset="utf-8"',
    }


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode(), object_pairs_hook=_once_each)
    except (ValueError, RecursionError):  # a few thousand brackets nest deeper than the parser goes
        raise RequestError(field="body", problem="is not JSON", allowed="a JSON object in UTF-8") from None


def _once_each(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise RequestError(field=shown(name), problem="is given more than once", allowed="once")
        found[name] = value
    return found
