"""What can go wrong with Azure, and whose move it is. docs/providers.md lists the codes, held equal by a test.

Two tables and nothing else decide: TROUBLES says what each of our codes means, ANSWERS which of them an answer that is
no success becomes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.core.errors import ProviderError

TEXT_SHOWN_CHARS: Final = 200


@dataclass(frozen=True, slots=True)
class Trouble:
    """One kind of trouble: whether it can pass by itself, what it is, and the cure."""

    summary: str
    hint: str
    permanent: bool = False
    throttled: bool = False


AGAIN: Final = "It is tried again"
TROUBLES: Final[Mapping[str, Trouble]] = MappingProxyType(
    {
        "AZURE_THROTTLED": Trouble(
            "Azure wants us to come later",
            "Nothing to do: the run waits as long as Azure asked. If it comes often, others use the tenant's quota",
            throttled=True,
        ),
        "AZURE_BUSY": Trouble(
            "Azure Cost Management is out of service for the moment, and says for how long",
            "Nothing to do: the run waits as long as Azure asked",
            throttled=True,
        ),
        "AZURE_UNAVAILABLE": Trouble(
            "Azure Cost Management failed", f"{AGAIN}; if it lasts, see https://azure.status.microsoft"
        ),
        "AZURE_TIMEOUT": Trouble(
            "Azure did not answer in time", f"{AGAIN}; if it lasts, a narrower scope is answered faster"
        ),
        "AZURE_UNREACHABLE": Trouble(
            "Azure cannot be reached",
            f"{AGAIN}. Check the account's endpoint, and the name resolution, the proxy and the certificates of the "
            "workers' machine",
        ),
        "AZURE_CONNECTION_LOST": Trouble("The connection to Azure broke off", f"{AGAIN}; check proxies on the way"),
        "AZURE_BAD_ANSWER": Trouble(
            "Azure's answer is not what Cost Management answers",
            f"{AGAIN}. If it lasts, something else answers at the account's endpoint, such as a proxy's page",
        ),
        "AZURE_TOO_LARGE": Trouble(
            "Azure's answer is larger than any page of costs", f"{AGAIN}. If it lasts, check the account's endpoint"
        ),
        "AZURE_BAD_LINK": Trouble(
            "Azure's link to the next page leads elsewhere or in circles, and was not followed",
            f"{AGAIN}. If it lasts, check the account's endpoint: the token is sent to no other host",
        ),
        "AZURE_REDIRECTED": Trouble(
            "Azure's endpoint leads elsewhere, which is not followed with a token",
            "Correct the account's endpoint, then request the days once more (holdfast collect)",
            permanent=True,
        ),
        "AZURE_BAD_COLUMNS": Trouble(
            "Azure's answer lacks a column",
            "The account's scope or contract does not offer it: choose another scope, such as a subscription",
            permanent=True,
        ),
        "AZURE_BAD_ROW": Trouble(
            "A value in Azure's answer cannot be taken over exactly",
            "Nothing of the run was stored. Request the days once more (holdfast collect); report it if it lasts",
            permanent=True,
        ),
        "AZURE_REFUSED": Trouble(
            "Azure refused the request",
            "Check that the account's scope is written as Azure writes it and that Cost Management supports its offer",
            permanent=True,
        ),
        "AZURE_COSTS_DISABLED": Trouble(
            "Costs are not shown for this scope",
            "Have whoever runs the billing account allow it: 'AO view charges' of an enrollment, 'Azure charges' of a "
            "billing profile, or the partner's cost visibility policy",
            permanent=True,
        ),
        "AZURE_FORBIDDEN": Trouble(
            "The identity may not read the costs of this scope",
            "Give it the role 'Cost Management Reader' there (billing scopes: a billing reader role), wait some "
            "minutes, then request the days once more (holdfast collect)",
            permanent=True,
        ),
        "AZURE_NOT_FOUND": Trouble(
            "The scope does not exist, or the identity does not see it",
            "Correct the account's scope, or give the identity the role 'Cost Management Reader' there",
            permanent=True,
        ),
        "AZURE_UNAUTHORIZED": Trouble(
            "Azure does not accept the token",
            "With token_env: put a fresh token into that variable and restart the workers. Otherwise sign the identity "
            "in anew and check its tenant and the account's endpoint",
            permanent=True,
        ),
        "AZURE_NO_TOKEN": Trouble(
            "The variable that token_env names holds no token",
            "Set it to a bearer token for the workers and restart them, or take token_env out of the account",
            permanent=True,
        ),
        "AZURE_TOKEN_EXPIRED": Trouble(
            "The token has expired",
            "Put a fresh one into the variable that token_env names and restart the workers; without token_env tokens "
            "renew themselves",
            permanent=True,
        ),
        "AZURE_NO_CREDENTIALS": Trouble(
            "No identity to sign in to Azure with was found",
            f"{AGAIN}. Set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET for the workers, give their "
            "machine a managed identity, or name a token by token_env",
        ),
        "AZURE_SIGN_IN_REFUSED": Trouble(
            "Microsoft Entra refused the sign-in",
            "Renew the identity's secret or certificate, check AZURE_TENANT_ID and AZURE_CLIENT_ID, restart workers",
            permanent=True,
        ),
        "AZURE_SIGN_IN_FAILED": Trouble(
            "Signing in to Azure failed",
            f"{AGAIN}. Check the name resolution and the way to login.microsoftonline.com from the workers' machine",
        ),
    }
)

# Status of the answer and Azure's own code there; "" stands for any other code.
ANSWERS: Final[Mapping[tuple[int, str], str]] = MappingProxyType(
    {
        (400, ""): "AZURE_REFUSED",
        (400, "accountcostdisabled"): "AZURE_COSTS_DISABLED",
        (400, "indirectcostdisabled"): "AZURE_COSTS_DISABLED",
        (400, "subscriptionnotfound"): "AZURE_NOT_FOUND",
        (401, ""): "AZURE_UNAUTHORIZED",
        # Cost Management says 401 for a role that is missing.
        (401, "rbacaccessdenied"): "AZURE_FORBIDDEN",
        (403, ""): "AZURE_FORBIDDEN",
        (403, "accountcostdisabled"): "AZURE_COSTS_DISABLED",
        (403, "indirectcostdisabled"): "AZURE_COSTS_DISABLED",
        (404, ""): "AZURE_NOT_FOUND",
        (408, ""): "AZURE_TIMEOUT",
        (422, ""): "AZURE_REFUSED",
        # A service behind Cost Management failed.
        (424, ""): "AZURE_UNAVAILABLE",
        (429, ""): "AZURE_THROTTLED",
        (500, ""): "AZURE_UNAVAILABLE",
        (502, ""): "AZURE_UNAVAILABLE",
        (503, ""): "AZURE_UNAVAILABLE",
        (504, ""): "AZURE_TIMEOUT",
    }
)


def trouble(code: str, told: str = "", *, retry_after_s: float | None = None) -> ProviderError:
    """The error for one of our codes. `told` says more, and must hold no secret."""
    kind = TROUBLES[code]
    return ProviderError(
        code=code,
        summary=f"{kind.summary}: {told}" if told else kind.summary,
        hint=kind.hint,
        permanent=kind.permanent,
        retry_after_s=retry_after_s,
        throttled=kind.throttled,
    )


def refused(status: int, code: str, message: str, *, retry_after_s: float | None) -> ProviderError:
    """What an answer that is no success means. `code` and `message` are Azure's own, "" where it gives none."""
    ours = _code_of(status, code, waits=retry_after_s is not None)
    words = [f"status {status}", shortened(code) if code and code != str(status) else "", shortened(message)]
    wait_s = retry_after_s if TROUBLES[ours].throttled else None
    return trouble(ours, ", ".join(word for word in words if word), retry_after_s=wait_s)


def shortened(text: str) -> str:
    """Text from outside as it may stand in a log line: one line, bounded, printable."""
    line = re.sub(r"\s+", " ", text).strip()
    line = "".join(char for char in line if char.isprintable())
    return line if len(line) <= TEXT_SHOWN_CHARS else line[:TEXT_SHOWN_CHARS] + "…"


def _code_of(status: int, code: str, *, waits: bool) -> str:
    if status == 503 and waits:
        return "AZURE_BUSY"
    if 300 <= status < 400:
        return "AZURE_REDIRECTED"
    found = ANSWERS.get((status, code.lower())) or ANSWERS.get((status, ""))
    if found is not None:
        return found
    return "AZURE_UNAVAILABLE" if status >= 500 else "AZURE_BAD_ANSWER"
