"""Cursors of lists that go newest first by id: what is added meanwhile never shifts later pages."""

import base64
import binascii

from shared.core.errors import RequestError
from shared.ledger.rows import LARGEST_ID


def cursor_after(last_id: int) -> str:
    """The cursor of the page after one that ends with `last_id`."""
    return base64.urlsafe_b64encode(f"before:{last_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> int:
    """The id below which the page begins. Raises RequestError for a cursor that no page gave."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        prefix, _, number = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(":")
        last_id = int(number) if prefix == "before" and number.isdecimal() else 0
    except (binascii.Error, ValueError):
        last_id = 0
    if not 0 < last_id <= LARGEST_ID:
        raise RequestError(field="cursor", problem="is not one that was given out", allowed="the `next` of a page")
    return last_id
