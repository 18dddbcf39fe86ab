"""Talking HTTP to Azure: one deadline for each request, bodies that are bounded, a token that goes to one host only."""

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any, Final, Self

import httpx

from shared.core.days import DayRange
from shared.core.errors import ProviderError
from shared.core.version import VERSION
from shared.costs.azure.answer import Sums, add, document, page
from shared.costs.azure.errors import refused, trouble
from shared.costs.azure.query import CostType, body, query_path
from shared.costs.azure.throttle import retry_after_s
from shared.costs.azure.tokens import Tokens

# Azure takes tens of seconds for a large scope, and cuts off by itself after some minutes.
REQUEST_S: Final = 120.0
TOKEN_S: Final = 30.0
# A page of 1,000 rows is a few hundred kilobytes.
MOST_BYTES: Final = 16 * 1024 * 1024
# More than a million rows in 31 days: nobody's costs, but a server that never ends.
MOST_PAGES: Final = 1000
# A quota of one's own: without it everybody who asks the tenant's costs shares one.
CLIENT_TYPE: Final = "Holdfast"
TENANTS: Final = "/tenants?api-version=2022-12-01"
NO_CONTENT: Final = 204
UNAUTHORIZED: Final = 401

for _library in ("httpx", "httpcore"):
    # They tell every request at info, with the account's scope in it.
    logging.getLogger(_library).setLevel(logging.WARNING)


class Session:
    """The conversation of one fetch, over one connection as far as Azure keeps it. Use as `async with`."""

    def __init__(
        self, endpoint: str, tokens: Tokens, *, request_s: float = REQUEST_S, token_s: float = TOKEN_S
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._tokens = tokens
        self._request_s = request_s
        self._token_s = token_s
        # One deadline for all of a request replaces one for each step, which a server that trickles would never miss.
        self._http = httpx.AsyncClient(verify=_trusted(), timeout=None)  # noqa: S113 - as above

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def collect(self, scope: str, cost_type: CostType, days: DayRange, grouping: Sequence[str]) -> Sums:
        """What each group cost in at most 31 days, all pages added up. Raises ProviderError."""
        asked = body(cost_type, days, grouping)
        sums: Sums = {}
        address = self._endpoint + query_path(scope)
        seen = {address}
        while raw := await self._request("POST", address, asked):
            found = page(raw, days, grouping)
            for group, amount in found.sums.items():
                add(sums, group, amount)
            if found.next_link is None:
                break
            address = self._checked(found.next_link, seen)
            seen.add(address)
        return sums

    async def who_am_i(self) -> None:
        """See that Azure takes the token, by the cheapest question there is: it counts towards no quota of costs.

        Raises ProviderError. What Azure says beside 401 is no judgement of the token, unless it is out of order itself.
        """
        try:
            await self._request("GET", self._endpoint + TENANTS, None)
        except ProviderError as error:
            if error.code not in {"AZURE_FORBIDDEN", "AZURE_NOT_FOUND", "AZURE_REFUSED", "AZURE_THROTTLED"}:
                raise

    def _checked(self, link: str, seen: set[str]) -> str:
        """The next page's address, if it is one to send a token to. Raises ProviderError."""
        try:
            there, here = httpx.URL(link), httpx.URL(self._endpoint)
        except httpx.InvalidURL:
            raise trouble("AZURE_BAD_LINK", "it is no address") from None
        if (there.scheme, there.host, _port(there)) != (here.scheme, here.host, _port(here)) or there.userinfo:
            raise trouble("AZURE_BAD_LINK", "it leads to another host")
        if link in seen:
            raise trouble("AZURE_BAD_LINK", "it leads to a page that was there before")
        if len(seen) >= MOST_PAGES:
            raise trouble("AZURE_BAD_LINK", f"more than {MOST_PAGES} pages")
        return link

    async def _request(self, method: str, address: str, asked: Mapping[str, Any] | None) -> bytes:
        """The body of a success, b"" for 204. A token that is refused is renewed once. Raises ProviderError."""
        token = self._tokens.get(within_s=self._token_s)
        status, headers, raw = await self._exchange(method, address, asked, token)
        if status == UNAUTHORIZED and _refused(status, headers, raw, token).code == "AZURE_UNAUTHORIZED":
            renewed = self._tokens.renew(token, within_s=self._token_s)
            if renewed is not None:
                token = renewed
                status, headers, raw = await self._exchange(method, address, asked, token)
        if status == NO_CONTENT:
            return b""
        if 200 <= status < 300:
            return raw or b" "
        raise _refused(status, headers, raw, token)

    async def _exchange(
        self, method: str, address: str, asked: Mapping[str, Any] | None, token: str
    ) -> tuple[int, httpx.Headers, bytes]:
        try:
            async with asyncio.timeout(self._request_s):
                return await self._sent(method, address, asked, token)
        except TimeoutError:
            raise trouble("AZURE_TIMEOUT", f"{self._request_s:g} s") from None
        except httpx.DecodingError:
            raise trouble("AZURE_BAD_ANSWER", "its compression is broken") from None
        except (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise trouble("AZURE_UNREACHABLE", _told_of(error)) from None
        except (httpx.HTTPError, OSError) as error:
            raise trouble("AZURE_CONNECTION_LOST", _told_of(error)) from None

    async def _sent(
        self, method: str, address: str, asked: Mapping[str, Any] | None, token: str
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = {
            "Authorization": f"Bearer {token}",
            "ClientType": CLIENT_TYPE,
            "User-Agent": f"holdfast/{VERSION}",
            "Accept": "application/json",
        }
        async with self._http.stream(method, address, json=asked, headers=headers) as response:
            raw = bytearray()
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > MOST_BYTES:
                    raise trouble("AZURE_TOO_LARGE", f"more than {MOST_BYTES // 1024 // 1024} MB")
            return response.status_code, response.headers, bytes(raw)


@cache
def _trusted() -> ssl.SSLContext:
    # Reading a system's certificates takes longer than a request.
    return httpx.create_ssl_context()


def _port(url: httpx.URL) -> int | None:
    return url.port or {"https": 443, "http": 80}.get(url.scheme)


def _refused(status: int, headers: httpx.Headers, raw: bytes, token: str) -> ProviderError:
    code, message = _told_by_azure(raw)
    wait_s = retry_after_s(headers.multi_items(), now=datetime.now(UTC))
    # Whoever answers may repeat what they were sent.
    return refused(status, code.replace(token, "…"), message.replace(token, "…"), retry_after_s=wait_s)


def _told_by_azure(raw: bytes) -> tuple[str, str]:
    """Azure's own code and message, "" where its answer is not Azure's."""
    try:
        found = document(raw).get("error")
    except ProviderError:
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    code, message = found.get("code"), found.get("message")
    return code if isinstance(code, str) else "", message if isinstance(message, str) else ""


def _told_of(error: Exception) -> str:
    """What went wrong, in words without the address or a header."""
    root: BaseException = error
    while deeper := root.__cause__ or root.__context__:
        root = deeper
    words = getattr(root, "strerror", None) or getattr(root, "reason", None)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
