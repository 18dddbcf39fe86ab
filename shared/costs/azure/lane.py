"""Which accounts share a tenant, and may therefore have one request in flight between them."""

import hashlib
import os
from collections.abc import Mapping
from typing import Final

from shared.costs.azure.tokens import claims, given

PREFIX: Final = "azure:"
TENANT_VARIABLE: Final = "AZURE_TENANT_ID"


def tenant_lane(tenant: str | None, token_env: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The lane of an account of `tenant`, where that is known; it never holds a secret.

    Otherwise it is the environment's tenant, or that of the token, or, for a token that does not say, the variable.
    """
    known = tenant or environment.get(TENANT_VARIABLE, "").strip()
    if not known and token_env:
        said = claims(given(environment, token_env)).get("tid")
        known = said if isinstance(said, str) and said else f"env-{hashlib.sha256(token_env.encode()).hexdigest()[:12]}"
    return f"{PREFIX}{(known or 'default').lower()[:100]}"
