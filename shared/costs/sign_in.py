"""Signing in within a deadline, whatever the provider's library does: what hangs is left behind, and counted."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loguru import logger

from shared.core.credentials import UP, Finding, finding_of, no_answer, unforeseen
from shared.core.errors import ProviderError
from shared.costs.accounts import AccountConfig
from shared.costs.provider import CostProvider, provider_for
from shared.observability import events
from shared.observability.metrics import UNEXPECTED_ERRORS

DEADLINE_S: Final = 10.0
# Each holds a thread, and maybe a socket, until its library gives up.
MAX_HANGING: Final = 4


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a sign-in found, and as whom it succeeded ("" where nobody asks or it did not)."""

    found: Finding
    identity: str = ""


class SignIns:
    """Checks one account's credentials at a time; for one thread."""

    def __init__(
        self,
        provider_of: Callable[[AccountConfig], CostProvider] = provider_for,
        *,
        deadline_s: float = DEADLINE_S,
        max_hanging: int = MAX_HANGING,
    ) -> None:
        self._provider_of = provider_of
        self._deadline_s = deadline_s
        self._max_hanging = max_hanging
        self._hanging: dict[str, threading.Thread] = {}

    def hanging(self) -> int:
        """How many sign-ins were left behind and have not ended."""
        self._hanging = {name: thread for name, thread in self._hanging.items() if thread.is_alive()}
        return len(self._hanging)

    def possible(self, account: AccountConfig) -> bool:
        """Whether there is room for another one: not while the account's last one hangs, or too many others do."""
        return not self.full() and account.name not in self._hanging

    def full(self) -> bool:
        """Whether so many hang that no other is begun."""
        return self.hanging() >= self._max_hanging

    def check(self, account: AccountConfig) -> SignedIn:
        """Sign in as `account`. Returns within the deadline, and raises nothing."""
        answer: queue.SimpleQueue[SignedIn] = queue.SimpleQueue()
        thread = threading.Thread(
            target=lambda: answer.put(self._sign_in(account)), name=f"sign-in-{account.name}", daemon=True
        )
        thread.start()
        try:
            return answer.get(timeout=self._deadline_s)
        except queue.Empty:
            self._hanging[account.name] = thread
            return SignedIn(no_answer(self._deadline_s))

    def _sign_in(self, account: AccountConfig) -> SignedIn:
        try:
            return SignedIn(UP, self._provider_of(account).sign_in())
        except ProviderError as error:
            return SignedIn(finding_of(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours is told, and leaves the other accounts alone
            UNEXPECTED_ERRORS.labels(where="sign_in").inc()
            bound = logger.bind(event=events.UNEXPECTED_ERROR, account=account.name)
            bound.opt(exception=error).error("Unexpected error at signing in")
            return SignedIn(unforeseen(error))
