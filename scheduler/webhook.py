"""Posting JSON to an address outside, within one deadline for all of it."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Protocol

import httpx

from shared.core.errors import HoldfastError
from shared.core.version import VERSION

# Below the first wait between two tries, so that a try has ended when the next one may begin elsewhere.
DEADLINE_S: Final = 10.0
MOST_REDIRECTS: Final = 3
# The redirects that repeat the request as it was. The others turn it into a GET, which nobody would read.
KEEPING: Final = frozenset({307, 308})

for _library in ("httpx", "httpcore"):
    # They tell the address of every request, which is a secret.
    logging.getLogger(_library).setLevel(logging.WARNING)


class NotPostedError(HoldfastError):
    """The document has not certainly arrived. `summary` holds no address."""

    def __init__(self, *, summary: str) -> None:
        super().__init__(summary)
        self.summary = summary


class Poster(Protocol):
    """Whatever carries documents outside."""

    def post(self, document: Mapping[str, Any], *, key: str) -> None:
        """Deliver `document`. Raises NotPostedError."""
        ...


class Webhook:
    """An address that takes JSON. Proxies and certificates are the environment's, as for every program there."""

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._url = url
        self._deadline_s = deadline_s

    def post(self, document: Mapping[str, Any], *, key: str) -> None:
        """Deliver `document`, within the deadline whatever the other side does. Raises NotPostedError.

        Any 2xx is an arrival. `key` goes along as Idempotency-Key: a try whose answer was lost is repeated.
        """
        try:
            status = asyncio.run(self._within_deadline(document, {"Idempotency-Key": key}))
        except TimeoutError:
            raise NotPostedError(summary=f"no answer within {self._deadline_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NotPostedError(summary=told_of(error)) from None
        if not 200 <= status < 300:
            raise NotPostedError(summary=f"answered with status {status}")

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        # Reading a system's certificates takes longer than a post.
        return httpx.create_ssl_context()

    def _client(self) -> httpx.AsyncClient:
        # One deadline for all replaces one for each step, which a server that sends drop by drop would never miss.
        return httpx.AsyncClient(verify=self._trusted, timeout=None)  # noqa: S113 - as above

    async def _within_deadline(self, document: Mapping[str, Any], headers: Mapping[str, str]) -> int:
        async with asyncio.timeout(self._deadline_s), self._client() as client:
            sent = {"User-Agent": f"holdfast/{VERSION}", **headers}
            request = client.build_request("POST", self._url, json=document, headers=sent)
            for _ in range(MOST_REDIRECTS + 1):
                # The body of an answer may be endless and says nothing that is needed.
                response = await client.send(request, stream=True)
                await response.aclose()
                if response.status_code not in KEEPING or response.next_request is None:
                    return response.status_code
                if request.url.scheme == "https" and response.next_request.url.scheme != "https":
                    raise NotPostedError(summary="redirected from https to http, which is not followed")
                request = response.next_request
        raise NotPostedError(summary=f"redirected more than {MOST_REDIRECTS} times")


def told_of(error: Exception) -> str:
    """What went wrong, in words without the address."""
    root: BaseException = error
    while deeper := root.__cause__ or root.__context__:
        root = deeper
    words = getattr(root, "strerror", None) or getattr(root, "reason", None)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
