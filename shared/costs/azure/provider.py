"""Fetching an account's costs from Azure Cost Management."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from shared.core.costs import DayTotal, FetchedCosts, Price
from shared.core.days import DayRange
from shared.costs.azure.answer import Group
from shared.costs.azure.bounded import begun
from shared.costs.azure.errors import trouble
from shared.costs.azure.query import CostType, Scope, calls, price
from shared.costs.azure.rows import Amounts, day_totals_of, merged, rows_of
from shared.costs.azure.tokens import Tokens, VariableTokens, identity_of, shared_tokens

SIGN_IN_S: Final = 5.0


class AzureProvider:
    """Asks Cost Management for the costs of `scope`, one request at a time; keeps nothing but the token.

    `token_env` names a variable with a ready bearer token; without it the environment's identity signs in.
    """

    def __init__(
        self, scope: str, *, endpoint: str, token_env: str | None = None, tokens: Tokens | None = None
    ) -> None:
        self._scope = Scope(scope)
        self._endpoint = endpoint
        self._tokens = tokens or (VariableTokens(token_env) if token_env else shared_tokens(endpoint))

    def fetch(self, days: DayRange) -> FetchedCosts:
        """The costs of `days`; a day that Azure has nothing for is absent. Raises ProviderError."""
        return FetchedCosts(rows_of(asyncio.run(self._asked(days, self._scope.grouping)), self._scope))

    def sign_in(self) -> str:
        """Who we are, as far as the token tells. Raises ProviderError, within about five seconds."""
        until_s = time.monotonic() + SIGN_IN_S
        self._tokens.get(within_s=SIGN_IN_S)
        left_s = max(until_s - time.monotonic(), 0.5)
        # Not awaited here: resolving a name may take longer than any deadline, and ends with its thread.
        checking = begun(lambda: asyncio.run(self._checked(left_s)), name="azure-check")
        try:
            checking.result(left_s + 0.5)
        except TimeoutError:
            raise trouble("AZURE_TIMEOUT", f"{SIGN_IN_S:g} s") from None
        return identity_of(self._tokens.get(within_s=left_s))

    def day_totals(self, days: DayRange) -> Sequence[DayTotal]:
        """The totals of `days` as Azure adds them up. Raises ProviderError."""
        return day_totals_of(asyncio.run(self._asked(days, ())))

    def price(self, days: DayRange, *, rows_a_day: int) -> Price:
        """Requests alone: Azure charges nothing for them. Asks nobody."""
        return price(days, rows_a_day=rows_a_day)

    async def _checked(self, within_s: float) -> None:
        from shared.costs.azure.client import Session  # noqa: PLC0415 - as below

        async with Session(self._endpoint, self._tokens, request_s=within_s, token_s=within_s) as session:
            await session.who_am_i()

    async def _asked(self, days: DayRange, grouping: Sequence[str]) -> dict[Group, Amounts]:
        from shared.costs.azure.client import Session  # noqa: PLC0415 - httpx is slow to import, and few need it

        amounts: dict[Group, Amounts] = {}
        async with Session(self._endpoint, self._tokens) as session:
            for piece in calls(days):
                kinds = [CostType.ACTUAL, CostType.AMORTIZED]
                answers = [await session.collect(self._scope.path, kind, piece, grouping) for kind in kinds]
                for place, kind in enumerate(kinds):
                    if not answers[place] and any(answers):
                        # Costs that are only billed, or only effective, are rare; an answer that is empty for once is
                        # not, and would store zeros. What is said twice is believed.
                        answers[place] = await session.collect(self._scope.path, kind, piece, grouping)
                amounts |= merged(*answers)
        return amounts
