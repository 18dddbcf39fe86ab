"""GET /api/v1/queues: how much waits in Redis."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import falcon

from shared.messaging.depths import QueueDepth
from status_api.collaborators import Link
from status_api.hooks import query_of, require_redis
from status_api.resources.base import Resource
from status_api.views import answer


class Queues(Resource):
    """Messages ready, delayed and given up, queue by queue."""

    def __init__(self, *, link: Link, depths: Callable[[], Sequence[QueueDepth]]) -> None:
        self.link = link
        self._depths = depths

    @query_of()
    @falcon.before(require_redis)
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with every queue."""
        answer(resp, {"queues": [asdict(queue) for queue in self._depths()]})
