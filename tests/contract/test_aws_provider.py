"""What the aws provider relies on: the fake Cost Explorer and moto's server, which is not ours, pass the same suite."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

import pytest

from shared.core.costs import DayTotal, totals_by_day
from shared.core.days import ONE_DAY, DayRange
from shared.core.errors import ProviderError
from shared.costs.aws import AwsProvider
from shared.costs.aws.access import Access
from shared.costs.aws.pages import question
from shared.costs.aws.sessions import Sessions
from tests.fakes.cost_explorer import Book, Charge, FakeCostExplorer
from tests.fakes.cost_explorer.usage import Answering, checked
from tests.support.aws import only_these
from tests.support.system import request

TODAY = date(2026, 3, 9)
DAYS = DayRange(date(2026, 3, 5), date(2026, 3, 8))
PAYER, ANOTHER = "123456789012", "210987654321"
PAGE_GROUPS = 3


def charge(member: str, service: str, unblended: str, amortized: str) -> Charge:
    return Charge(member, service, "USD", Decimal(unblended), Decimal(amortized))


CHARGES: Mapping[date, Sequence[Charge]] = {
    DAYS.start: [
        charge(PAYER, "AWS Lambda", "0.0000300172", "0.0000300172"),
        charge(PAYER, "Tax", "1.2", "0"),
        charge("333333333333", "AWS Lambda", "-4E-10", "17"),
        charge("333333333333", "Amazon Simple Storage Service", "0", "0"),
    ],
    DAYS.start + ONE_DAY: [charge(PAYER, "AWS Lambda", "2.5", "2.25")],
    DAYS.start + 2 * ONE_DAY: [],
    DAYS.end: [charge(PAYER, "AWS Lambda", "99999.0000000001", "3")],
}
GROUPS = sum(map(len, CHARGES.values()))


class Double(Protocol):
    """Something that plays Cost Explorer and STS."""

    url: str

    def offer(self, account: str, *, grouped: bool) -> None:
        """Have the costs of `CHARGES` answered, in pages of three groups, the last day estimated."""

    def role_arn(self, account: str) -> str:
        """A role that may be assumed."""


class Fake:
    """Ours."""

    def __init__(self, fake: FakeCostExplorer) -> None:
        self._fake = fake
        self.url = fake.url

    def offer(self, account: str, *, grouped: bool) -> None:
        for day, charges in CHARGES.items():
            self._fake.book.put(account, day, charges)

    def role_arn(self, account: str) -> str:
        return self._fake.role_arn(account)


class Moto:
    """Moto's, which replays what it is given."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = f"http://127.0.0.1:{port}"

    def offer(self, account: str, *, grouped: bool) -> None:
        book = Book([account])
        for day, charges in CHARGES.items():
            book.put(account, day, charges)
        answering = Answering(book, PAGE_GROUPS, 1, TODAY)
        pages: list[dict[str, Any]] = []
        token: str | None = None
        while not pages or token:
            asked = question(DAYS, grouped=grouped) | ({"NextPageToken": token} if token else {})
            page, _ = answering.page(account, checked(asked, TODAY))
            pages.append(page)
            token = page.get("NextPageToken")
        payload = {"results": pages, "account_id": account}
        answer = request(self._port, "/moto-api/static/ce/cost-and-usage-results", method="POST", payload=payload)
        assert answer.status == 201

    def role_arn(self, account: str) -> str:
        return f"arn:aws:iam::{account}:role/CostReader"


@pytest.fixture(scope="module")
def moto_port() -> Iterator[int]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture(params=["fake", "moto"])
def double(request, monkeypatch) -> Iterator[Double]:
    if request.param == "fake":
        with FakeCostExplorer(
            payers=[PAYER, ANOTHER], page_groups=PAGE_GROUPS, estimated_days=1, today=lambda: TODAY
        ) as fake:
            only_these(monkeypatch, fake.environment(PAYER))
            yield Fake(fake)
        return
    moto = Moto(request.getfixturevalue("moto_port"))
    reset(moto)
    keys = {"AWS_ACCESS_KEY_ID": "AKIAMOTO", "AWS_SECRET_ACCESS_KEY": "moto", "AWS_EC2_METADATA_DISABLED": "true"}
    only_these(monkeypatch, keys)
    yield moto


def reset(moto: Moto) -> None:
    assert request(moto._port, "/moto-api/reset", method="POST").status == 200


def provider(double: Double, account: str = PAYER, role_arn: str | None = None) -> AwsProvider:
    return AwsProvider(Access(account, role_arn, None, double.url), Sessions())


def test_all_pages_are_fetched_with_every_group_once(double):
    double.offer(PAYER, grouped=True)
    assert GROUPS > PAGE_GROUPS
    rows = sorted(provider(double).fetch(DAYS).rows)
    assert [(row.day, row.sub_account, row.service, row.billed, row.effective) for row in rows] == sorted(
        (day, found.member, found.service, found.unblended, found.amortized)
        for day, charges in CHARGES.items()
        for found in charges
    )


def test_newest_days_are_estimated(double):
    double.offer(PAYER, grouped=True)
    assert provider(double).fetch(DAYS).estimated_days == {DAYS.end}


def test_totals_without_groups_are_the_sums_of_the_groups(double):
    double.offer(PAYER, grouped=False)
    totals = {total.day: total for total in provider(double).day_totals(DAYS)}
    double.offer(PAYER, grouped=True)
    grouped = {total.day: total for total in totals_by_day(provider(double).fetch(DAYS).rows)}
    empty = DAYS.start + 2 * ONE_DAY
    assert totals == grouped | {empty: DayTotal(empty, "USD", Decimal(0), Decimal(0))}


def test_we_are_told_who_we_are(double):
    assert provider(double).sign_in().split(":")[4] == PAYER


def test_credentials_of_another_account_fetch_nothing(double):
    double.offer(PAYER, grouped=True)
    for ask in (provider(double, ANOTHER).sign_in, lambda: provider(double, ANOTHER).fetch(DAYS)):
        with pytest.raises(ProviderError) as caught:
            ask()
        assert (caught.value.code, caught.value.permanent) == ("AWS_WRONG_ACCOUNT", True)
        assert PAYER in caught.value.summary


def test_a_role_fetches_the_costs_of_its_account(double, monkeypatch):
    if isinstance(double, Fake):
        only_these(monkeypatch, double._fake.environment())
    double.offer(ANOTHER, grouped=True)
    through_role = provider(double, ANOTHER, double.role_arn(ANOTHER))
    assert through_role.sign_in() == f"arn:aws:sts::{ANOTHER}:assumed-role/CostReader/holdfast"
    assert len(through_role.fetch(DAYS).rows) == GROUPS
