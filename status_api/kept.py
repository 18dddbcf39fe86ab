"""How answers look in the cache: as they are, or compressed where they are long. Pure."""

import base64
import binascii
import gzip
import zlib
from dataclasses import dataclass
from typing import Final

# Below this, compressing takes longer than it saves.
COMPRESS_FROM_BYTES: Final = 65_536
# Ten times smaller in a hundredth of a second for each megabyte.
LEVEL: Final = 1
COMPRESSED: Final = "gz"


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer, as it is or compressed; the other way of it is made when it is asked for."""

    body: bytes
    compressed: bool = False

    @classmethod
    def of(cls, body: bytes) -> "Answer":
        """Compressed when `body` is long."""
        if len(body) < COMPRESS_FROM_BYTES:
            return cls(body)
        return cls(gzip.compress(body, LEVEL, mtime=0), compressed=True)

    def plain(self) -> bytes:
        """The JSON itself."""
        return gzip.decompress(self.body) if self.compressed else self.body

    def value(self) -> str:
        """The text that stands for it in the cache."""
        if not self.compressed:
            return self.body.decode()
        return f"{COMPRESSED}:{zlib.crc32(self.body):08x}:{base64.b64encode(self.body).decode()}"


def read(value: str) -> Answer | None:
    """What `Answer.value` wrote; None for anything else, such as what a person has written under the key."""
    if value.startswith("{"):
        return Answer(value.encode())
    kind, _, rest = value.partition(":")
    checksum, _, encoded = rest.partition(":")
    if kind != COMPRESSED:
        return None
    try:
        body = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    return Answer(body, compressed=True) if f"{zlib.crc32(body):08x}" == checksum else None


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether a client that sent this Accept-Encoding takes an answer in gzip."""
    for offer in (accept_encoding or "").lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
