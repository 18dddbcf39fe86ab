"""GET /api/v1/anomalies: days that were not to be expected, the newest first."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import falcon

from shared.ledger.documents import anomalies_document
from status_api import params
from status_api.collaborators import Ledger
from status_api.hooks import query_of
from status_api.resources.base import Resource
from status_api.views import answer

DEFAULT_DAYS: Final = 90


class Anomalies(Resource):
    """Spikes, drops, new and vanished services; those cleared since say so."""

    def __init__(self, *, ledger: Ledger, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now

    @query_of("start", "end", "account", "kind", "limit", "cursor")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a page, and the cursor of the next one."""
        query = req.context.query
        days = params.day_range(query, now=self._now(), default_days=DEFAULT_DAYS)
        answer(resp, anomalies_document(self._ledger.anomalies(params.anomaly_query(query, days))))
