"""The real processes with mistakes that hold every secret: `python -m tests.support.leaky status_api|scheduler|worker`.

`status_api` gets a route that raises, `scheduler` ends by an error, `worker` gets providers that fail with and without
an error of their own. What they raise holds each variable of the environment that LEAKY names, in every form.
"""

import base64
import json
import os
import sys
import threading
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import quote, quote_plus

from shared.core.costs import FetchedCosts
from shared.core.errors import ProviderError
from shared.core.runs import Run
from tests.support.worker_main import real_setup, run

LEAKY = "LEAKY"


def leaky_text(environment: Mapping[str, str] = os.environ) -> str:
    """What a careless exception could say."""
    return " | ".join(text for name in environment[LEAKY].split(",") for text in _shapes(environment[name]))


def _shapes(value: str) -> list[str]:
    basic = base64.b64encode(f"holdfast:{value}".encode()).decode()
    return [
        value,
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        repr(value),
        repr({"value": value}),
        repr(value.encode()),
        json.dumps({"value": value}),
        json.dumps(json.dumps(value)),
        f"Authorization: Basic {basic}",
        f"auth {basic}",
        base64.urlsafe_b64encode(f"{value}:holdfast".encode()).decode(),
        f"GET /somewhere?anything={quote(value)} failed",
        f"redis://:{quote(value)}@localhost/0",
        f"line one\n{value}\nline three",
    ]


class LeakyFetcher:
    """Stands in for every provider: the account's name says how it fails."""

    def __init__(self, accounts: object) -> None:
        """Take what the real one takes."""

    def __call__(self, run: Run) -> FetchedCosts:
        if run.account == "told":
            raise ProviderError(code="DENIED", summary=leaky_text(), hint=leaky_text(), permanent=True)
        raise RuntimeError(leaky_text()) from ValueError({"token": leaky_text()})


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    real_setup(Fetcher=LeakyFetcher)


def _worker() -> NoReturn:
    run("tests.support.leaky:setup")


def _status_api() -> int:
    import falcon

    import status_api.app
    from shared.bootstrap.lifecycle import run_process
    from status_api.service import serve

    class Leaky:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> NoReturn:
            threading.Thread(target=_fail, name="leaky").start()
            raise RuntimeError(leaky_text()) from KeyError(req.get_header("Authorization"), req.url)

    real = status_api.app.routes
    vars(status_api.app)["routes"] = lambda given: {**real(given), "/api/v1/leaky": Leaky()}
    return run_process("status_api", serve)


def _scheduler() -> int:
    from shared.bootstrap.lifecycle import run_process

    return run_process("scheduler", lambda *_: _fail())


def _fail() -> NoReturn:
    raise RuntimeError(leaky_text())


if __name__ == "__main__":
    sys.exit({"status_api": _status_api, "scheduler": _scheduler, "worker": _worker}[sys.argv[1]]())
