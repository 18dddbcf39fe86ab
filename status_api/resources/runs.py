"""/api/v1/runs: what was and is being collected, asking for more, and cancelling."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import falcon

from shared.ledger.documents import run_document
from status_api import params
from status_api.body import json_object
from status_api.collaborators import Ledger
from status_api.hooks import query_of
from status_api.manual import ManualRuns
from status_api.params import RunsAsked
from status_api.resources.base import Resource
from status_api.views import answer


class Runs(Resource):
    """The list, newest first, and the way in."""

    def __init__(self, *, ledger: Ledger, manual: ManualRuns, window_days: int, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._manual = manual
        self._window_days = window_days
        self._now = now

    @query_of("state", "account", "kind", "limit", "cursor")
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a page of runs, and the cursor of the next one."""
        page = self._ledger.runs(params.run_filter(req.context.query))
        answer(resp, {"runs": [run_document(run) for run in page.runs], "next": page.next})

    @query_of()
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Record manual runs and hand them to Redis, if it takes them within half a second."""
        key = params.idempotency_key(req.get_header("Idempotency-Key"))
        asked: Mapping[str, Any] = json_object(req, ("account", "start", "end"))
        recorded = self._manual.request(
            RunsAsked(
                accounts=[params.account_name(asked["account"])] if "account" in asked else None,
                days=params.day_range(asked, now=self._now(), default_days=self._window_days),
                key=key,
                wording=json.dumps(asked, sort_keys=True),
            )
        )
        resp.status = falcon.HTTP_202
        answer(resp, {"runs": [run_document(run) for run in recorded.runs], "dispatch": recorded.dispatch.value})


class OneRun(Resource):
    """One run."""

    def __init__(self, *, ledger: Ledger) -> None:
        self._ledger = ledger

    @query_of()
    def on_get(self, _req: falcon.Request, resp: falcon.Response, run_id: str) -> None:
        """Answer with the run."""
        answer(resp, run_document(self._ledger.run(params.run_id(run_id))))

    @query_of()
    def on_delete(self, _req: falcon.Request, resp: falcon.Response, run_id: str) -> None:
        """Cancel it; one that has ended stays as it is."""
        answer(resp, run_document(self._ledger.cancel(params.run_id(run_id))))
