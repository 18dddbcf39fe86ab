"""GET /api/v1/budgets: how far each budget of this month is used up."""

import falcon

from shared.ledger.documents import budget_document
from status_api import params
from status_api.collaborators import Ledger
from status_api.hooks import query_of
from status_api.resources.base import Resource
from status_api.views import answer


class Budgets(Resource):
    """The budgets of the accounts file against the month to date."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    @query_of("account")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with every budget."""
        query = req.context.query
        account = params.account_name(query["account"]) if "account" in query else None
        answer(resp, {"budgets": [budget_document(status) for status in self._ledger.budgets(account)]})
