"""The question to Cost Explorer, its pages, and what they cost."""

from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any, cast

import pytest

from shared.core.costs import Price
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.aws import pages
from shared.costs.aws.access import Access
from shared.costs.aws.pages import answers, price_of, question

DAYS = DayRange(date(2026, 1, 30), date(2026, 2, 1))
ACCESS = Access("123456789012")


class Client:
    """Answers with the given tokens, one after the other."""

    def __init__(self, tokens):
        self.tokens = iter(tokens)
        self.asked: list[dict[str, Any]] = []

    def get_cost_and_usage(self, **parameters):
        self.asked.append(parameters)
        token = next(self.tokens)
        return {"ResultsByTime": [], **({"NextPageToken": token} if token else {})}


def all_pages(client):
    return list(answers(cast("Any", client), question(DAYS, grouped=True), ACCESS))


def test_the_end_is_the_day_after_and_both_metrics_are_asked_for_at_once():
    assert question(DAYS, grouped=True) == {
        "TimePeriod": {"Start": "2026-01-30", "End": "2026-02-02"},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost", "AmortizedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": "LINKED_ACCOUNT"}, {"Type": "DIMENSION", "Key": "SERVICE"}],
    }
    assert "GroupBy" not in question(DAYS, grouped=False)


def test_every_page_repeats_all_parameters():
    client = Client(["one", "two", None])
    assert len(all_pages(client)) == 3
    first, second, third = client.asked
    assert first == question(DAYS, grouped=True)
    assert second == first | {"NextPageToken": "one"}
    assert third == first | {"NextPageToken": "two"}


def test_an_answer_without_results_is_no_answer():
    class Proxy(Client):
        def get_cost_and_usage(self, **parameters):
            return {"ResponseMetadata": {}}

    with pytest.raises(ProviderError) as caught:
        all_pages(Proxy([]))
    assert (caught.value.code, caught.value.permanent) == ("AWS_UNREACHABLE", False)


def test_an_empty_token_is_the_end():
    assert len(all_pages(Client([""]))) == 1


def test_a_token_that_repeats_is_an_error_and_no_loop():
    client = Client(["one", "two", "one", None])
    with pytest.raises(ProviderError) as caught:
        all_pages(client)
    assert (caught.value.code, caught.value.permanent, len(client.asked)) == ("AWS_PAGES_CHANGED", False, 3)


def test_pages_without_end_are_stopped_for_good(monkeypatch):
    monkeypatch.setattr(pages, "PAGES_MOST", 7)
    client = Client(f"token {number}" for number in count())
    with pytest.raises(ProviderError) as caught:
        all_pages(client)
    assert (caught.value.code, caught.value.permanent, len(client.asked)) == ("AWS_ENDLESS_PAGES", True, 7)


@pytest.mark.parametrize(
    ("rows_a_day", "requests"), [(0, (1, 1)), (1, (1, 1)), (166, (1, 1)), (167, (1, 2)), (500, (1, 3)), (1000, (1, 6))]
)
def test_a_price_is_a_page_at_least_and_at_most_what_the_smallest_pages_make(rows_a_day, requests):
    cent = Decimal("0.01")
    assert price_of(DAYS, rows_a_day=rows_a_day) == Price(requests, (cent * requests[0], cent * requests[1]))
