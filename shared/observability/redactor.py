"""Takes secrets out of finished lines: those that are known by value, then whatever looks like one."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, unquote_plus

from shared.core.redact import redact_text
from shared.observability.forms import needle_of, pattern_of, texts_of

HIDDEN: Final = "***"
# Shorter ones would blot out half of every line, and stand in URLs only, where their place gives them away.
SHORTEST: Final = 4
# A shorter part of a webhook's address is a word.
SHORTEST_TOKEN: Final = 12
# Without any of these a line holds nothing that only looks like a secret: most lines stop here.
HINTS: Final = re.compile(
    r"://|passw|pwd|secret|token|key|bearer|basic|auth|sig|credential|cookie|args beginning|AKIA|ASIA|AROA|AIDA|eyJ",
    re.IGNORECASE,
)
# Variables whose values are secrets by their very name, ours and the SDKs'.
SECRET_VARIABLE: Final = re.compile(r"(SECRET|PASSWORD|PASSWD|TOKEN|ACCESS_KEY|API_KEY|CREDENTIAL)", re.IGNORECASE)
# In a URL's query a parameter of one of these names is one, too.
SECRET_PARAMETER: Final = re.compile(
    SECRET_VARIABLE.pattern + r"|^(pass|pwd|sig|signature|apikey|key|auth)$", re.IGNORECASE
)
WEBHOOK_VARIABLE: Final = re.compile(r"WEBHOOK", re.IGNORECASE)
# Paths and switches that match the names above, but hide nothing.
NO_SECRET: Final = re.compile(r"(_FILE|_PATH|_DIR|_ENDPOINT|_URI|_ID)$", re.IGNORECASE)


class Redactor:
    """Called with a line, returns it without secrets, in whatever form those that are known by value stand there."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._texts: frozenset[str] = frozenset()
        self._longest_first: tuple[tuple[str, str], ...] = ()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these, too, from now on."""
        self._texts |= {text for secret in secrets if len(secret) >= SHORTEST for text in texts_of(secret)}
        # A secret that begins with another one must go as a whole.
        longest_first = sorted(self._texts, key=lambda text: (-len(text), text))
        self._longest_first = tuple((needle_of(text), text) for text in longest_first)

    def __call__(self, line: str) -> str:
        """Return `line` without the known secrets and without whatever looks like one."""
        for needle, text in self._longest_first:
            # Nearly every line holds none, which this alone tells quickly.
            if needle in line:
                line = pattern_of(text).sub(HIDDEN, line)
        return redact_text(line) if HINTS.search(line) else line


_known: Final = Redactor()


def hide(secrets: Iterable[str]) -> None:
    """Have `without_secrets` hide these, too, from now on: in this process, whoever asks."""
    _known.learn(secrets)


def without_secrets(text: str) -> str:
    """`text` without the secrets of this process, and without whatever looks like one."""
    return _known(text)


def secrets_of_url(url: str) -> Iterator[str]:
    """The password in a URL, wherever it stands, as written and as meant. Takes URLs that are none."""
    rest = url.partition("://")[2]
    before_path = re.split(r"[/?#]", rest, maxsplit=1)[0]
    # Without an @ there, a password that was not percent-encoded holds a slash or the like.
    userinfo = (before_path if "@" in before_path else rest).rpartition("@")[0]
    user, _, password = userinfo.partition(":")
    if password:
        # With the user's name, so that it goes with its password where it would stay alone.
        yield from {password, unquote(password), f"{user}:{password}", f"{unquote(user)}:{unquote(password)}"}
    elif len(user) >= SHORTEST_TOKEN:
        # A shorter name alone is a name.
        yield from {user, unquote(user)}
    for part in rest.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        if value and SECRET_PARAMETER.search(unquote(name)):
            yield from {value, unquote(value), unquote_plus(value)}


def secrets_of_webhook(url: str) -> Iterator[str]:
    """The whole URL, and what in it may be a token: such services take whoever knows the address for a friend."""
    yield url
    yield from secrets_of_url(url)
    path, _, query = url.partition("://")[2].partition("?")
    values = [value for _, value in parse_qsl(query)] + [part.partition("=")[2] for part in query.split("&")]
    yield from (part for part in [*path.split("/")[1:], *values] if len(part) >= SHORTEST_TOKEN)


def secrets_of_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """Values of variables that hold a secret by their name, and what is secret in those that hold a URL."""
    for name, value in environment.items():
        if SECRET_VARIABLE.search(name) and not NO_SECRET.search(name):
            yield value
        elif WEBHOOK_VARIABLE.search(name):
            yield from secrets_of_webhook(value)
        elif "://" in value:
            yield from secrets_of_url(value)
