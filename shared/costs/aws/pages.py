"""All pages of one question to Cost Explorer, and what they cost."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from shared.core.costs import Price
from shared.core.days import ONE_DAY, DayRange
from shared.costs.aws import sorts
from shared.costs.aws.access import Access
from shared.costs.aws.errors import NOT_AWS, failure
from shared.costs.aws.mapping import GROUPS, METRICS, Page

if TYPE_CHECKING:
    from mypy_boto3_ce.client import CostExplorerClient

# https://aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing/: each page of an answer is a request.
PAGE_USD: Final = Decimal("0.01")
# AWS promises no size of a page, so that this is a guess on the safe side: fewer groups than on any page would make
# the most of a price more than is ever charged.
GROUPS_A_PAGE_AT_LEAST: Final = 500
# Ten dollars: far more than any real answer, so that one without an end is stopped.
PAGES_MOST: Final = 1000


def question(days: DayRange, *, grouped: bool) -> dict[str, Any]:
    """The parameters for `days`: both metrics at once, since each page costs money."""
    parameters: dict[str, Any] = {
        # AWS leaves the end out.
        "TimePeriod": {"Start": days.start.isoformat(), "End": (days.end + ONE_DAY).isoformat()},
        "Granularity": "DAILY",
        "Metrics": list(METRICS),
    }
    if grouped:
        parameters["GroupBy"] = [{"Type": "DIMENSION", "Key": key} for key in GROUPS]
    return parameters


def answers(client: "CostExplorerClient", parameters: Mapping[str, Any], access: Access) -> Iterator[Page]:
    """Every page, the parameters repeated with each token. Raises ProviderError when the pages do not end."""
    seen: set[str] = set()
    token: str | None = None
    for _ in range(PAGES_MOST):
        following: dict[str, Any] = {} if token is None else {"NextPageToken": token}
        page: Mapping[str, Any] = client.get_cost_and_usage(**parameters, **following)
        if "ResultsByTime" not in page:
            # botocore makes an empty answer of one that was cut short, or that a proxy gave in AWS's place.
            raise failure(sorts.UNREACHABLE, access, detail=NOT_AWS)
        token = page.get("NextPageToken")
        if token in seen:
            raise failure(sorts.CHANGED, access, detail="the same page was offered again")
        yield page
        if not token:
            return
        seen.add(token)
    raise failure(sorts.ENDLESS, access, pages=PAGES_MOST)


def price_of(days: DayRange, *, rows_a_day: int) -> Price:
    """At least one page, at most as many as pages of the fewest groups make."""
    most = max(1, -(-len(days) * rows_a_day // GROUPS_A_PAGE_AT_LEAST))
    return Price(requests=(1, most), usd=(PAGE_USD, PAGE_USD * most))
