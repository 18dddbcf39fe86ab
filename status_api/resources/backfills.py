"""POST /api/v1/backfills: collect a long past, or say what that would take."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import falcon
from loguru import logger

from shared.bootstrap.backfill import backfill_document
from shared.core.runs import Run, RunState
from shared.ledger.backfill import BackfillAsked
from shared.ledger.documents import run_document
from shared.observability import events
from status_api import params
from status_api.body import json_object
from status_api.collaborators import Ledger
from status_api.hooks import query_of
from status_api.manual import Dispatch, ManualRuns
from status_api.resources.base import Resource
from status_api.views import answer

FIELDS = ("account", "start", "end", "again", "dryRun")


class Backfills(Resource):
    """The way in; its runs are in the list of runs."""

    def __init__(self, *, ledger: Ledger, manual: ManualRuns, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._manual = manual
        self._now = now

    @query_of()
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Record a run for each month that is not complete; with `dryRun` only say what that takes."""
        key = params.idempotency_key(req.get_header("Idempotency-Key"))
        given: Mapping[str, Any] = json_object(req, FIELDS)
        asked = self._asked(given, key)
        if params.flag("dryRun", given.get("dryRun", False)):
            answer(resp, backfill_document(self._ledger.plan_backfill(asked)))
            return
        made = self._ledger.request_backfill(asked)
        runs = made.backfill.runs
        logger.bind(
            event=events.RUN_REQUESTED,
            scope=events.SCOPE_REQUEST,
            run_ids=[run.id for run in runs],
            days=len(asked.days),
        ).info("A backfill was requested")
        runs, dispatch = self._handed_over(runs)
        resp.status = falcon.HTTP_202
        answer(resp, {**backfill_document(made), "runs": [run_document(run) for run in runs], "dispatch": dispatch})

    def _handed_over(self, runs: Sequence[Run]) -> tuple[list[Run], Dispatch]:
        """The runs as they are then. Of an account one is sent at a time: trying the others would be in vain."""
        first_of = {run.account: run for run in reversed(runs)}
        handed_over = self._manual.hand_over(list(first_of.values()))
        changed = {run.id: run for run in handed_over.runs}
        later = any(run.state is RunState.PENDING and run.id not in changed for run in runs)
        return [changed.get(run.id, run) for run in runs], Dispatch.DEFERRED if later else handed_over.dispatch

    def _asked(self, given: Mapping[str, Any], key: str | None) -> BackfillAsked:
        return BackfillAsked(
            accounts=[params.account_name(given["account"])] if "account" in given else None,
            days=params.ended_range(given, now=self._now()),
            again=params.flag("again", given.get("again", False)),
            key=key,
            request=json.dumps(given, sort_keys=True),
        )
