"""Everybody who asks while a fault stands."""

from typing import Any

from tests.chaos.fault import NAMES
from tests.chaos.measure import Asker, LogTail, Requester, Sample
from tests.chaos.rig import ACCOUNTS, Rig
from tests.support.system import Answer

HEALTH_EVERY_S = 0.04
TRUTH_EVERY_S = 0.025
ROUTES_EVERY_S = 0.25
REQUEST_EVERY_S = 0.5


class Watch:
    """Everybody who asks, started together and stopped together."""

    def __init__(self, rig: Rig) -> None:
        system = rig.system
        self.truth = {
            name: Asker(system[name].probe_port, "/health/dependencies", every_s=TRUTH_EVERY_S, keep=_body)
            for name in NAMES
        }
        self.ready = self._health(rig, "/health/ready", lambda answer: answer.body["status"])
        self.live = self._health(rig, "/health/live", lambda answer: answer.body["status"])
        port = system["status_api"].port
        self.strict = Asker(port, "/api/v1/queues", every_s=ROUTES_EVERY_S)
        self.soft = Asker(
            port, "/api/v1/costs", every_s=ROUTES_EVERY_S, keep=lambda answer: answer.headers.get("x-cache")
        )
        self.bare = Asker(rig.bare_port, "/", every_s=HEALTH_EVERY_S)
        self.requester = Requester(port, ACCOUNTS, every_s=REQUEST_EVERY_S)
        self.logs = {name: LogTail(system[name]) for name in NAMES}

    @property
    def threads(self) -> "list[Asker | Requester | LogTail]":
        askers = [*self.truth.values(), *self.ready.values(), *self.live.values(), self.strict, self.soft, self.bare]
        return [*askers, self.requester, *self.logs.values()]

    def start(self) -> None:
        """Start asking."""
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Stop asking."""
        for thread in self.threads:
            thread.stop()

    def flow(self, *, on: bool) -> None:
        """Let runs and the routes that need Redis flow, or not."""
        for one in (self.requester, self.strict, self.soft):
            (one.go.set if on else one.go.clear)()

    def well_since(self, since_s: float) -> float | None:
        """When, after `since_s`, each process was first connected and healthy with all others; None when not yet."""
        latest = [_first_well(self.truth[name], since_s, _connected) for name in NAMES]
        latest += [_first_well(self.ready[name], since_s, _healthy) for name in NAMES]
        return None if None in latest else max(at_s for at_s in latest if at_s is not None)

    @staticmethod
    def _health(rig: Rig, path: str, keep: Any) -> dict[str, Asker]:
        return {name: Asker(rig.system[name].probe_port, path, every_s=HEALTH_EVERY_S, keep=keep) for name in NAMES}


def _body(answer: Answer) -> Any:
    return answer.body


def _connected(sample: Sample) -> bool:
    if sample.status != 200:
        return False
    redis = sample.said["redis"]
    return redis["connectionState"] == "connected" and redis["lastError"] is None


def _healthy(sample: Sample) -> bool:
    return sample.status == 200 and sample.said == "healthy"


def _first_well(asker: Asker, since_s: float, well: Any) -> float | None:
    """The end of the first good answer after the last bad one since then."""
    found: float | None = None
    for sample in reversed(list(asker.samples)):
        if sample.at_s < since_s or not well(sample):
            break
        found = sample.end_s
    return found
