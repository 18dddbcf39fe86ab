"""The application: every route in one table, every collaborator passed in."""

import falcon

from status_api.collaborators import Collaborators
from status_api.cost_cache import CostCache
from status_api.errors import add_error_handlers
from status_api.exporting import Exports
from status_api.manual import ManualRuns
from status_api.middleware import Gatekeeper, RequestMetrics
from status_api.resources.accounts import Accounts
from status_api.resources.anomalies import Anomalies
from status_api.resources.backfills import Backfills
from status_api.resources.base import Resource
from status_api.resources.budgets import Budgets
from status_api.resources.cache import CacheEntry
from status_api.resources.costs import Costs
from status_api.resources.coverage import Coverage
from status_api.resources.description import Description
from status_api.resources.export import Export
from status_api.resources.probes import Probe
from status_api.resources.queues import Queues
from status_api.resources.revisions import Revisions
from status_api.resources.runs import OneRun, Runs

WsgiApp = falcon.App[falcon.Request, falcon.Response]


def create_app(given: Collaborators) -> WsgiApp:
    """The WSGI application. Nothing starts, nothing is asked of Redis or of the database."""
    app: WsgiApp = falcon.App(middleware=[RequestMetrics(given.monotonic_s), Gatekeeper(given.access)])
    app.req_options.strip_url_path_trailing_slash = True
    add_error_handlers(app, given.link)
    for path, resource in routes(given).items():
        app.add_route(path, resource)
    return app


def routes(given: Collaborators) -> dict[str, Resource]:
    """Every route and who answers it."""
    link, ledger = given.link, given.ledger
    cache = CostCache(link, given.redis_calls, budget_s=given.redis_budget_s, monotonic_s=given.monotonic_s)
    manual = ManualRuns(ledger=ledger, link=link, send=given.dispatch)
    probe = Probe(application=given.probes)
    return {
        "/api/v1/costs": Costs(link=link, ledger=ledger, cache=cache, now=given.now),
        "/api/v1/accounts": Accounts(ledger=ledger),
        "/api/v1/costs/export": Export(exports=Exports(ledger), ledger=ledger, now=given.now),
        "/api/v1/coverage": Coverage(ledger=ledger, now=given.now),
        "/api/v1/revisions": Revisions(ledger=ledger, now=given.now),
        "/api/v1/runs": Runs(ledger=ledger, manual=manual, window_days=given.window_days, now=given.now),
        "/api/v1/runs/{run_id}": OneRun(ledger=ledger),
        "/api/v1/backfills": Backfills(ledger=ledger, manual=manual, now=given.now),
        "/api/v1/anomalies": Anomalies(ledger=ledger, now=given.now),
        "/api/v1/budgets": Budgets(ledger=ledger),
        "/api/v1/queues": Queues(link=link, depths=given.queues),
        "/api/v1/cache/{key}": CacheEntry(link=link),
        "/health/live": probe,
        "/health/ready": probe,
        "/health/dependencies": probe,
        "/metrics": probe,
        "/openapi.yaml": Description(path=given.openapi_file),
    }
