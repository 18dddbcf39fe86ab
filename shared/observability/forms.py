"""How a secret may stand in a text: escaped for a URL, for JSON, HTML or by repr, however often, and within base64."""

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from typing import Final

# A shorter one gives too few characters of base64 to be told from a word.
SHORTEST_IN_BASE64: Final = 8
URL_SAFE: Final = str.maketrans("+/", "-_")
# What no escaping changes.
UNCHANGED: Final = re.compile(r"[A-Za-z0-9]+")
PIECES: Final = re.compile(r"[A-Za-z0-9]+|\\+|.", re.DOTALL)
SHORT_ESCAPES: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
# A backslash, itself perhaps encoded for a URL.
SLASH: Final = r"(?:\\|%(?:25)*5[Cc])"
BMP: Final = 0xFFFF


def texts_of(secret: str) -> Iterator[str]:
    """`secret` itself, and the characters of base64 that are its own wherever it stands among the bytes encoded.

    So it is found in a header's `user:password`, too.
    """
    yield secret
    if len(secret) < SHORTEST_IN_BASE64:
        return
    data = secret.encode("utf-8", "backslashreplace")
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        own = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield from {own, own.translate(URL_SAFE)}


def needle_of(text: str) -> str:
    """A part of `text` that stands unchanged in each of its forms: looking for it is quick, and mostly enough."""
    return max(UNCHANGED.findall(text), key=len, default="")


@lru_cache(maxsize=1024)
def pattern_of(text: str) -> re.Pattern[str]:
    """What matches `text` in all its forms. Linear in its length."""
    return re.compile("".join(map(_piece, PIECES.findall(text))))


def _piece(piece: str) -> str:
    if UNCHANGED.fullmatch(piece):
        return piece
    # Several in a row as one: each with a repeat of its own would be tried in every combination.
    return f"{SLASH}{{{len(piece)},}}" if piece[0] == "\\" else _escaped(piece)


def _escaped(char: str) -> str:
    code, data = ord(char), char.encode("utf-8", "surrogatepass")
    # Each further escaping doubles the backslashes, and turns the percent sign into %25.
    plain = [re.escape(char), re.escape(escape(char)), "".join(f"(?i:%(?:25)*{byte:02x})" for byte in data)]
    if char == " ":
        plain.append(r"(?i:\+|%(?:25)*2b)")
    slashed = [f"(?i:{way})" for way in _as_unicode(code)]
    if char in SHORT_ESCAPES:
        slashed.append(SHORT_ESCAPES[char])
    in_bytes = "".join(f"{SLASH}+(?i:x{byte:02x})" for byte in data)
    return f"(?:{SLASH}*(?:{'|'.join(plain)})|{SLASH}+(?:{'|'.join(slashed)})|{in_bytes})"


def _as_unicode(code: int) -> Iterator[str]:
    yield f"U{code:08x}"
    if code <= BMP:
        yield f"u{code:04x}"
        yield f"x{code:02x}"
        return
    first, second = divmod(code - 0x10000, 0x400)
    yield f"u{0xD800 + first:04x}{SLASH}+u{0xDC00 + second:04x}"
