"""GET /api/v1/accounts: how each account stands."""

import falcon

from shared.ledger.documents import account_document
from status_api.collaborators import Ledger
from status_api.hooks import query_of
from status_api.resources.base import Resource
from status_api.views import answer


class Accounts(Resource):
    """Whether it collects, whether a worker can sign in as it, how far its costs reach."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    @query_of()
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with every account there ever was."""
        answer(resp, {"accounts": [account_document(known) for known in self._ledger.standings()]})
