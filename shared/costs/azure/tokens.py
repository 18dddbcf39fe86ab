"""Tokens for Azure: ready ones from a variable, or those of DefaultAzureCredential, shared by all threads.

No token and nothing that a sign-in answered stands in an error or a log line.
"""

import base64
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from shared.core.errors import ProviderError
from shared.costs.azure.bounded import begun
from shared.costs.azure.errors import trouble

# A token is renewed this long before it expires.
MARGIN_S: Final = 300.0
# A token in a variable is called expired when any clock would call it so.
CLOCKS_DIFFER_S: Final = 300.0
# For commands such as `az` that sign in; within the few seconds that a check of credentials has.
PROCESS_S: Final = 4
PUBLIC: Final = ("https://management.azure.com", "login.microsoftonline.com")
# Endpoints of other clouds: what their tokens are for, and who issues them.
CLOUDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "management.usgovcloudapi.net": ("https://management.usgovcloudapi.net", "login.microsoftonline.us"),
        "management.chinacloudapi.cn": ("https://management.chinacloudapi.cn", "login.chinacloudapi.cn"),
    }
)
# What Entra answers when it is not well itself: transient, retryable, throttled, a loop.
PASSING: Final = frozenset({"AADSTS90033", "AADSTS90006", "AADSTS90055", "AADSTS50196"})

for _library in ("azure", "msal"):
    # They tell at length what ours tells in a line, and what the other side has answered.
    logging.getLogger(_library).setLevel(logging.ERROR)


class Credential(Protocol):
    """What azure-identity offers."""

    def get_token(self, *scopes: str) -> Any:
        """A token with its text and when it expires, in seconds since 1970."""
        ...


class Tokens(Protocol):
    """Where tokens come from. Safe to use from any thread."""

    def get(self, *, within_s: float) -> str:
        """A token that is valid as far as can be told. Raises ProviderError."""
        ...

    def renew(self, rejected: str, *, within_s: float) -> str | None:
        """Another token than `rejected`; None when there is none to be had. Raises ProviderError."""
        ...


class VariableTokens:
    """The ready bearer token in the environment variable `name`."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self._name = name
        self._clock = clock

    def get(self, *, within_s: float) -> str:  # noqa: ARG002 - the protocol's signature
        """What the variable holds. Raises ProviderError when that is no token, or one that says it has expired."""
        token = given(os.environ, self._name)
        if not re.fullmatch("[!-~]+", token):
            raise trouble("AZURE_NO_TOKEN", self._name)
        expires_at_s = claims(token).get("exp")
        if isinstance(expires_at_s, int | float) and expires_at_s + CLOCKS_DIFFER_S < self._clock():
            raise trouble("AZURE_TOKEN_EXPIRED", self._name)
        return token

    def renew(self, rejected: str, *, within_s: float) -> str | None:  # noqa: ARG002 - the protocol's signature
        """Nothing: the environment of a process stays as it is."""
        return None


class CredentialTokens:
    """Tokens for `resource` from a credential, kept until shortly before they expire.

    Signing in happens on a thread of its own, one at a time: whoever needs a token waits for it as long as they are
    ready to, and a sign-in that hangs holds nobody longer.
    """

    def __init__(
        self, resource: str, make: Callable[[], Credential], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._resource = resource
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._credential: Credential | None = None
        self._token = ""
        self._expires_at_s = 0.0
        self._signing: Future[str] | None = None

    def get(self, *, within_s: float) -> str:
        """A token with some life left. Raises ProviderError."""
        with self._lock:
            left_s = self._expires_at_s - self._clock()
            if self._token and left_s > MARGIN_S:
                return self._token
            old = self._token if left_s > 0 else ""
        try:
            return self._signed_in(within_s)
        except ProviderError:
            # The one at hand is still good for a while, and the sign-in may succeed next time.
            if old:
                return old
            raise

    def renew(self, rejected: str, *, within_s: float) -> str | None:
        """A token from a new sign-in, unless another thread has fetched one since. Raises ProviderError."""
        with self._lock:
            if self._token == rejected:
                # The credential has a cache of its own, and would answer with the same token again.
                self._token, self._expires_at_s, self._credential = "", 0.0, None
        renewed = self.get(within_s=within_s)
        return renewed if renewed != rejected else None

    def _signed_in(self, within_s: float) -> str:
        with self._lock:
            if self._signing is None:
                self._signing = begun(self._sign_in, name="azure-sign-in")
            signing = self._signing
        try:
            return signing.result(within_s)
        except TimeoutError:
            raise trouble("AZURE_SIGN_IN_FAILED", f"no answer within {within_s:.1f} s") from None
        except Exception as error:  # noqa: BLE001 - whatever a credential raises is told by its kind
            # Several threads may wait for one sign-in: each gets an error of its own.
            raise sign_in_trouble(error) from None

    def _sign_in(self) -> str:
        try:
            with self._lock:
                credential = self._credential
            credential = credential or self._make()
            found = credential.get_token(f"{self._resource}/.default")
            with self._lock:
                self._credential, self._token, self._expires_at_s = credential, found.token, float(found.expires_on)
            return str(found.token)
        finally:
            with self._lock:
                self._signing = None


@cache
def shared_tokens(endpoint: str) -> CredentialTokens:
    """The tokens of DefaultAzureCredential for `endpoint`, the same for everybody in this process."""
    resource, authority = CLOUDS.get((urlsplit(endpoint).hostname or "").lower(), PUBLIC)
    return CredentialTokens(resource, lambda: _default_credential(authority))


def _default_credential(authority: str) -> Credential:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - half a second to import, only needed here

    # A service has nobody at a screen, and no desktop whose sign-in it could take over.
    return DefaultAzureCredential(
        authority=os.environ.get("AZURE_AUTHORITY_HOST") or authority,
        exclude_interactive_browser_credential=True,
        exclude_broker_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_shared_token_cache_credential=True,
        process_timeout=PROCESS_S,
    )


def sign_in_trouble(error: Exception) -> ProviderError:
    """What a failed sign-in means, without its words: they repeat what Entra was told."""
    text = str(error)
    found = re.search(r"AADSTS[0-9]{4,8}", text)
    if found:
        return trouble("AZURE_SIGN_IN_FAILED" if found[0] in PASSING else "AZURE_SIGN_IN_REFUSED", found[0])
    if "EnvironmentCredential authentication unavailable" in text:
        return trouble("AZURE_NO_CREDENTIALS")
    return trouble("AZURE_SIGN_IN_FAILED", type(error).__name__)


def given(environment: Mapping[str, str], name: str) -> str:
    """The token in the variable `name`, as people paste it; "" for none."""
    return environment.get(name, "").strip().removeprefix("Bearer ").strip()


def claims(token: str) -> Mapping[str, Any]:
    """What a token says of itself, unverified: for showing and comparing, never for trusting. Empty for others."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def identity_of(token: str) -> str:
    """Who a token is for, as it says itself: "" when it does not."""
    said = claims(token)
    name = next((said[claim] for claim in ("upn", "unique_name", "appid", "azp", "oid") if said.get(claim)), None)
    tenant = said.get("tid")
    words = [str(name) if name else "", f"tenant {tenant}" if tenant else ""]
    return " in ".join(word for word in words if word)[:200]
