"""Takes secrets out of finished lines: those that are known by value, then whatever looks like one."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from shared.core.redact import redact_text

HIDDEN: Final = "***"
# Shorter ones would blot out half of every line, and stand in URLs only, where their place gives them away.
SHORTEST: Final = 4
# A shorter part of a webhook's address is a word.
SHORTEST_TOKEN: Final = 12
# Without any of these a line holds nothing that only looks like a secret: most lines stop here.
HINTS: Final = re.compile(
    r"://|passw|pwd|secret|token|key|bearer|basic|auth|sig|credential|AKIA|ASIA|AROA|AIDA|eyJ", re.IGNORECASE
)
# Variables whose values are secrets by their very name, ours and the SDKs'.
SECRET_VARIABLE: Final = re.compile(r"(SECRET|PASSWORD|PASSWD|TOKEN|ACCESS_KEY|API_KEY|CREDENTIAL)", re.IGNORECASE)
# Paths and switches that match the names above, but hide nothing.
NO_SECRET: Final = re.compile(r"(_FILE|_PATH|_DIR|_ENDPOINT|_URI|_ID)$", re.IGNORECASE)


class Redactor:
    """Called with a line, returns it without secrets. One regular expression for all that are known by value."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: frozenset[str] = frozenset()
        self._known: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these, too, from now on."""
        self._forms |= {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        # Longest first: a secret that begins with another one must go as a whole.
        longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, line: str) -> str:
        """Return `line` without the known secrets and without whatever looks like one."""
        known = self._known
        line = known.sub(HIDDEN, line) if known else line
        return redact_text(line) if HINTS.search(line) else line


def secrets_of_url(url: str) -> Iterator[str]:
    """The password in a URL, wherever it stands, as written and as meant."""
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    password = userinfo.partition(":")[2]
    if password:
        yield from {password, unquote(password)}
    for name, value in parse_qsl(parts.query):
        if SECRET_VARIABLE.search(name):
            yield value


def secrets_of_webhook(url: str) -> Iterator[str]:
    """The whole URL, and what in it may be a token: such services take whoever knows the address for a friend."""
    parts = urlsplit(url)
    yield url
    yield from secrets_of_url(url)
    yield from (part for part in parts.path.split("/") if len(part) >= SHORTEST_TOKEN)
    yield from (value for _, value in parse_qsl(parts.query) if len(value) >= SHORTEST_TOKEN)


def secrets_of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """Values of variables that hold a secret by their name."""
    for name, value in environment.items():
        if SECRET_VARIABLE.search(name) and not NO_SECRET.search(name):
            yield value


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
