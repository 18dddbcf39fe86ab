"""The log of a test: lines as the process would write them, and everything put back afterwards."""

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loguru import logger

from shared.observability.flood import FloodControl
from shared.observability.logs import LogFormat, configure_logging


class Lines:
    """What has been written."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()

    @property
    def text(self) -> str:
        """All of it."""
        return self.stream.getvalue().decode()

    @property
    def all(self) -> list[str]:
        """Line by line."""
        return self.text.splitlines()

    @property
    def json(self) -> list[dict[str, Any]]:
        """Line by line, decoded."""
        return [json.loads(line) for line in self.all]


@contextmanager
def captured(
    *, fmt: LogFormat = "text", level: str = "info", flood: FloodControl | None = None, secrets: tuple[str, ...] = ()
) -> Iterator[Lines]:
    """Log as process `test` into memory."""
    lines, root = Lines(), logging.getLogger()
    hooks, handlers, root_level = (sys.excepthook, threading.excepthook), root.handlers[:], root.level
    # Its own handlers are pytest's: basicConfig(force=True) would close them.
    root.handlers = []
    try:
        configure_logging(
            level=level, fmt=fmt, process="test", secrets=secrets, stream=lines.stream, flood=flood or FloodControl()
        )
        yield lines
    finally:
        logging.captureWarnings(capture=False)
        sys.excepthook, threading.excepthook = hooks
        root.handlers, root.level = handlers, root_level
        logger.remove()
        logger.configure(extra={})
        logger.add(sys.stderr)
