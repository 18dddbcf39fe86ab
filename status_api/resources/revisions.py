"""GET /api/v1/revisions: what collected days cost before they changed."""

from collections.abc import Callable
from datetime import datetime

import falcon

from shared.ledger.documents import revisions_document
from status_api import params
from status_api.collaborators import Ledger
from status_api.hooks import query_of
from status_api.resources.base import Resource
from status_api.views import answer


class Revisions(Resource):
    """The history of restated days, newest first."""

    def __init__(self, *, ledger: Ledger, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._now = now

    @query_of("start", "end", "account", "limit", "cursor")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a page of revisions, and the cursor of the next one."""
        page = self._ledger.revisions(params.revision_filter(req.context.query, now=self._now()))
        answer(resp, revisions_document(page.revisions, page.next))
