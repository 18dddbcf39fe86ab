"""Text that a database can hold."""

from typing import Final

ERROR_LENGTH: Final = 1000


def is_storable(text: str) -> bool:
    """Whether both databases can hold `text`: no NUL, nothing that UTF-8 cannot say."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def storable(text: str, length: int = ERROR_LENGTH) -> str:
    """`text` with what a database cannot hold replaced, cut to `length`: for words about an error, not for data."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")[:length]
