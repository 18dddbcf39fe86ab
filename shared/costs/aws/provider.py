"""Fetching an AWS account's costs from Cost Explorer."""

from collections.abc import Callable
from typing import Final, TypeVar

from shared.core.costs import DayTotal, FetchedCosts, Price
from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.costs.aws import sorts
from shared.costs.aws.access import Access
from shared.costs.aws.deadline import Bounded
from shared.costs.aws.errors import BOTOCORE_ERRORS, explained, failure
from shared.costs.aws.mapping import AnswerError, rows_of, totals_of
from shared.costs.aws.pages import answers, price_of, question
from shared.costs.aws.sessions import SESSIONS, Pair, Sessions, sts_says

T = TypeVar("T")

SIGN_IN_S: Final = 5.0
# After these the next attempt signs in anew: a file may hold a new key by then.
SIGN_IN_ANEW: Final = frozenset(
    sort.code for sort in (sorts.EXPIRED, sorts.BAD_CREDENTIALS, sorts.NO_CREDENTIALS, sorts.CREDENTIALS_SOURCE)
)

_sign_ins: Final[Bounded[str]] = Bounded(SIGN_IN_S)


class AwsProvider:
    """Asks the Cost Explorer of one account: of a payer for all its members, of a member for itself alone.

    There is no filter: what an account may see is what it is asked for. Who we are is compared with `account_id`
    before any costs are fetched, as STS answers that for nothing: with the wrong credentials the costs of one account
    would be stored as those of another.
    """

    def __init__(self, access: Access, sessions: Sessions = SESSIONS) -> None:
        self._access = access
        self._sessions = sessions

    def fetch(self, days: DayRange) -> FetchedCosts:
        """The costs of `days` by linked account and service. Raises ProviderError."""
        return self._asked(lambda pair: rows_of(answers(pair.ce, question(days, grouped=True), self._access), days))

    def sign_in(self) -> str:
        """The ARN we are known by, within `SIGN_IN_S` whatever hangs. Raises ProviderError."""
        try:
            return _sign_ins.call(self._access, lambda: self._guarded(self._identified))
        except TimeoutError:
            raise failure(
                sorts.UNREACHABLE, self._access, service="STS", detail=f"no answer within {SIGN_IN_S:g} s"
            ) from None

    def day_totals(self, days: DayRange) -> list[DayTotal]:
        """What each of `days` cost in all, asked for without groups. Raises ProviderError."""
        return self._asked(lambda pair: totals_of(answers(pair.ce, question(days, grouped=False), self._access), days))

    def price(self, days: DayRange, *, rows_a_day: int) -> Price:
        """One page at least; at most what a day's rows make. Asks nobody."""
        return price_of(days, rows_a_day=rows_a_day)

    def _asked(self, ask: Callable[[Pair], T]) -> T:
        def identified_first(pair: Pair) -> T:
            self._identified(pair)
            return ask(pair)

        return self._guarded(identified_first)

    def _identified(self, pair: Pair) -> str:
        """Who we are. Raises ProviderError when that is of another account."""
        found, arn = sts_says(lambda: _identity(pair), self._access)
        if found != self._access.account_id:
            raise failure(sorts.WRONG_ACCOUNT, self._access, found=found)
        return arn

    def _guarded(self, call: Callable[[Pair], T]) -> T:
        """`call` with the clients; whatever goes wrong as ProviderError."""
        role_account = self._access.role_account
        if role_account not in {None, self._access.account_id}:
            raise failure(sorts.WRONG_ACCOUNT, self._access, found=role_account)
        try:
            pair = self._sessions.pair(self._access)
            return self._explained(pair, call)
        except ProviderError as error:
            if error.code in SIGN_IN_ANEW:
                self._sessions.forget(self._access)
            raise

    def _explained(self, pair: Pair, call: Callable[[Pair], T]) -> T:
        try:
            return call(pair)
        except AnswerError as error:
            raise failure(sorts.BAD_ANSWER, self._access, detail=str(error)) from None
        except BOTOCORE_ERRORS as error:
            # Without its cause: what AWS says of a wrong signature repeats the token, and a log would follow the chain.
            raise explained(error, self._access, renewable=pair.renewable, secrets=_secrets(pair)) from None


def _identity(pair: Pair) -> tuple[str, str]:
    answer = pair.sts.get_caller_identity()
    return answer["Account"], answer["Arn"]


def _secrets(pair: Pair) -> list[str]:
    """What requests are signed with, without having it renewed, as the public attributes of renewable ones would."""
    names = ("_access_key", "_secret_key", "_token") if pair.renewable else ("access_key", "secret_key", "token")
    known = [getattr(pair.credentials, name, None) for name in names]
    return [text for text in known if text]
