"""The control API, for whoever runs the fake as a process. JSON in and out.

    GET  /_control                         counters, faults that are on, payers
    GET  /_control/totals?account&start&end  exact sums: {"2026-01-01": {"USD": {"unblended": "1.5", "amortized": "2"}}}
    POST /_control/faults                  {"name": "throttle", "times": 3, "share": 0.5, "account", "operation",
                                            "seconds", "code", "status", "message"}; {"name": …, "off": true};
                                           {"off": true} switches all off
    POST /_control/rate                    {"perSecond": 5}, null for no limit
    POST /_control/restate                 {"account": …, "days": ["2026-01-01"]}: other figures from now on
    POST /_control/empty                   the same, for days without any charge
    POST /_control/rename                  {"account": …, "service": …, "new": …}
    POST /_control/expire                  {"account": …} (null: all): keys and sessions of now; {"off": true} undoes it
    POST /_control/reset                   counters begin at zero

Days are inclusive. Faults: see `faults.NAMES`.
"""

import json
from collections.abc import Callable, Mapping
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from tests.fakes.cost_explorer.server import FakeCostExplorer

PREFIX = "/_control"
JsonDict = dict[str, Any]


def answer(fake: "FakeCostExplorer", method: str, path: str, body: bytes) -> tuple[int, JsonDict]:
    """Status and body. What makes no sense is 400 with the reason, an unknown path 404."""
    parts = urlsplit(path)
    name = parts.path.removeprefix(PREFIX).strip("/")
    known = (GETS if method == "GET" else POSTS).get(name)
    if known is None:
        return 404, {"error": "Not Found", "known": [f"{PREFIX}/{name}" for name in (*GETS, *POSTS)]}
    try:
        given = dict(parse_qsl(parts.query)) if method == "GET" else json.loads(body or b"{}")
        return 200, known(fake, given)
    except (KeyError, TypeError, ValueError) as error:
        return 400, {"error": "Bad Request", "message": repr(error)}


def _shown(fake: "FakeCostExplorer", _: Mapping[str, Any]) -> JsonDict:
    return {**fake.counters.shown(), "faults": fake.faults.shown(), "payers": list(fake.payers)}


def _totals(fake: "FakeCostExplorer", given: Mapping[str, Any]) -> JsonDict:
    start, end = date.fromisoformat(given["start"]), date.fromisoformat(given["end"])
    totals = fake.book.totals(given["account"], start, end)
    return {
        str(day): {
            currency: {"unblended": f"{sums.unblended:f}", "amortized": f"{sums.amortized:f}"}
            for currency, sums in found.items()
        }
        for day, found in totals.items()
    }


def _faults(fake: "FakeCostExplorer", given: JsonDict) -> JsonDict:
    if given.pop("off", False):
        fake.faults.clear(given.get("name"))
    else:
        fake.faults.switch(**given)
    return _shown(fake, {})


def _rate(fake: "FakeCostExplorer", given: JsonDict) -> JsonDict:
    fake.rate.per_s = given["perSecond"]
    return {"perSecond": fake.rate.per_s}


def _restate(fake: "FakeCostExplorer", given: JsonDict) -> JsonDict:
    for day in _days(given):
        fake.book.restate(given["account"], day)
    return {"restated": given["days"]}


def _empty(fake: "FakeCostExplorer", given: JsonDict) -> JsonDict:
    for day in _days(given):
        fake.book.put(given["account"], day, ())
    return {"emptied": given["days"]}


def _rename(fake: "FakeCostExplorer", given: JsonDict) -> JsonDict:
    fake.book.rename(given["account"], given["service"], given["new"])
    return {"renamed": given["service"]}


def _expire(fake: "FakeCostExplorer", given: JsonDict) -> JsonDict:
    if given.get("off"):
        fake.keys.renew()
    else:
        fake.keys.expire(given.get("account"))
    return {"expired": not given.get("off", False)}


def _reset(fake: "FakeCostExplorer", _: Mapping[str, Any]) -> JsonDict:
    fake.counters.reset()
    return fake.counters.shown()


def _days(given: JsonDict) -> list[date]:
    return [date.fromisoformat(day) for day in given["days"]]


Action = Callable[["FakeCostExplorer", JsonDict], JsonDict]
GETS: Mapping[str, Action] = MappingProxyType({"": _shown, "totals": _totals})
POSTS: Mapping[str, Action] = MappingProxyType(
    {
        "faults": _faults,
        "rate": _rate,
        "restate": _restate,
        "empty": _empty,
        "rename": _rename,
        "expire": _expire,
        "reset": _reset,
    }
)
