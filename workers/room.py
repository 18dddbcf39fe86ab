"""Whether a fetch can open what it needs. Providers' libraries take it badly when they cannot: one ends the process."""

import os
from contextlib import ExitStack
from typing import Final

# Files, sockets and a name's resolution, with room to spare for the other threads.
NEEDED: Final = 16


def room_to_open(needed: int = NEEDED) -> bool:
    """Whether so many descriptors are free in this process at this moment."""
    with ExitStack() as opened:
        try:
            for _ in range(needed):
                opened.callback(os.close, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return False
    return True
