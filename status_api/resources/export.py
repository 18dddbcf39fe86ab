"""GET /api/v1/costs/export: the stored rows as a FOCUS file."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import falcon

from shared.core.exports import ExportFormat
from shared.ledger.exporting import ExportQuery
from status_api import params
from status_api.collaborators import Ledger
from status_api.exporting import Exports
from status_api.hooks import query_of
from status_api.resources.base import Resource

DEFAULT_DAYS: Final = 30
TYPES: Final[Mapping[ExportFormat, str]] = MappingProxyType(
    {ExportFormat.CSV: "text/csv; charset=utf-8", ExportFormat.PARQUET: "application/vnd.apache.parquet"}
)


class Export(Resource):
    """Every row of a range, by account, day and group."""

    def __init__(self, *, exports: Exports, ledger: Ledger, now: Callable[[], datetime]) -> None:
        self._exports = exports
        self._ledger = ledger
        self._now = now

    @query_of("start", "end", "account", "format")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with the file, however large it is."""
        given: Mapping[str, str] = req.context.query
        form = params.choice("format", ExportFormat, given["format"]) if "format" in given else ExportFormat.CSV
        query = ExportQuery(
            days=params.day_range(given, now=self._now(), default_days=DEFAULT_DAYS),
            account=params.account_name(given["account"]) if "account" in given else None,
        )
        if req.method == "HEAD":
            self._ledger.data_version(query.account)  # as with GET, an account may be unknown and the database away
            resp.stream = iter(())  # nobody knows its length
        elif form is ExportFormat.CSV and req.env.get("SERVER_PROTOCOL") != "HTTP/1.0":
            resp.stream = self._exports.stream(query)
        else:
            # HTTP/1.0 cannot tell a body that was cut off from a whole one, unless its length is stated.
            file = self._exports.file(query, form)
            resp.set_stream(file, file.size_bytes)
        resp.content_type = TYPES[form]
        resp.downloadable_as = f"costs_{query.days.start}_{query.days.end}.{form}"
        resp.cache_control = ["no-store"]
