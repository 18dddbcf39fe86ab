"""GET /api/v1/coverage: what is known of each account-day."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import falcon

from shared.ledger.documents import coverage_document
from status_api import params
from status_api.collaborators import Ledger
from status_api.hooks import query_of
from status_api.resources.base import Resource
from status_api.views import answer

DEFAULT_DAYS: Final = 30


class Coverage(Resource):
    """Complete, estimated, suspect or missing, day by day."""

    def __init__(self, *, ledger: Ledger, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now

    @query_of("start", "end", "account")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with every account's days."""
        query = req.context.query
        days = params.day_range(query, now=self._now(), default_days=DEFAULT_DAYS)
        account = params.account_name(query["account"]) if "account" in query else None
        answer(resp, {"accounts": [coverage_document(known) for known in self._ledger.coverage(days, account)]})
