"""GET /api/v1/costs: sums by group, from the cache when it knows the newest data, else from the ledger."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import falcon

from shared.core.costs import Metric
from shared.ledger.documents import costs_json
from shared.ledger.queries import CostQuery
from status_api import params
from status_api.collaborators import Ledger, Link
from status_api.cost_cache import CostCache, CostKey
from status_api.hooks import check_redis, query_of
from status_api.kept import takes_gzip
from status_api.resources.base import Resource
from status_api.views import answer_bytes

DEFAULT_DAYS: Final = 30


class Costs(Resource):
    """Costs by day, account, service and so on, currencies never added together."""

    def __init__(self, *, link: Link, ledger: Ledger, cache: CostCache, now: Callable[[], datetime]) -> None:
        self.link = link
        self._ledger = ledger
        self._cache = cache
        self._now = now

    @query_of("start", "end", "groupBy", "metric", "account")
    @falcon.before(check_redis)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with rows, totals and how fresh they are."""
        query = self._decoded(req.context.query)
        # Read before the rows: data stored in between belongs to a later version, whose key differs.
        key = self._key(query).text()
        answer, outcome = self._cache.fetch(key, lambda: self._made(query), ask=req.context.redis_available)
        resp.set_header("X-Cache", outcome.value)
        resp.append_header("Vary", "Accept-Encoding")
        if answer.compressed and takes_gzip(req.get_header("Accept-Encoding")):
            resp.set_header("Content-Encoding", "gzip")
            answer_bytes(resp, answer.body)
        else:
            answer_bytes(resp, answer.plain())

    def _decoded(self, query: Mapping[str, str]) -> CostQuery:
        return CostQuery(
            days=params.day_range(query, now=self._now(), default_days=DEFAULT_DAYS),
            group_by=params.groups(query["groupBy"]) if "groupBy" in query else params.DEFAULT_GROUPS,
            metric=params.choice("metric", Metric, query["metric"]) if "metric" in query else Metric.BILLED,
            account=params.account_name(query["account"]) if "account" in query else None,
        )

    def _key(self, query: CostQuery) -> CostKey:
        return CostKey(
            ledger_id=self._ledger.identity(),
            data_version=self._ledger.data_version(query.account),
            start=query.days.start.isoformat(),
            end=query.days.end.isoformat(),
            group_by=query.group_by,
            metric=query.metric.value,
            account=query.account,
        )

    def _made(self, query: CostQuery) -> bytes:
        head: dict[str, Any] = {
            "start": query.days.start.isoformat(),
            "end": query.days.end.isoformat(),
            "groupBy": list(query.group_by),
            "metric": query.metric.value,
        }
        return costs_json(head, self._ledger.costs(query))
