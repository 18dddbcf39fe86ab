"""Log lines: text for people, JSON for machines, one line each on standard output, without a secret in them.

Redaction works on the finished line, since exception texts and library messages carry URLs and tokens too.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal

from loguru import logger

from shared.observability import events
from shared.observability.flood import Decision, FloodControl, kind_of
from shared.observability.lines import json_kept, json_line, text_line
from shared.observability.metrics import LOG_LINES_HELD_BACK, LOG_LINES_LOST
from shared.observability.output import Output
from shared.observability.redactor import hide, without_secrets

LogFormat = Literal["text", "json"]
LEVELS: Final[Mapping[str, str]] = {"error": "ERROR", "warn": "WARNING", "info": "INFO", "debug": "DEBUG"}
# Libraries tell of their own inner life at info; ours is told by our own lines.
LIBRARY_LEVELS: Final[Mapping[str, int]] = {"error": logging.ERROR, "debug": logging.INFO}

_control = FloodControl()


def flood_control() -> FloodControl:
    """The control that the lines of this process pass; told by bootstrap what is away."""
    return _control


def configure_logging(
    *,
    level: str,
    fmt: LogFormat,
    process: str,
    secrets: Iterable[str] = (),
    stream: BinaryIO | None = None,
    flood: FloodControl | None = None,
) -> None:
    """Send every line of this process, libraries' included, to `stream` (standard output). Safe to call again.

    `secrets` are replaced wherever they appear, also quoted for a URL or for JSON.
    """
    control = flood or _control
    hide(secrets)
    sink = LineSink(fmt=fmt, redact=without_secrets, output=Output(stream))
    logger.remove()
    logger.configure(extra={"process": process})
    logger.add(
        sink.write,
        level=LEVELS[level],
        format="{exception}",
        filter=lambda record: _admit(record, control),  # type: ignore[arg-type] # a record is a dict
        colorize=False,
        backtrace=False,
        diagnose=False,
        enqueue=False,
    )
    logging.basicConfig(handlers=[Intercept()], level=LIBRARY_LEVELS.get(level, logging.WARNING), force=True)
    logging.captureWarnings(capture=True)
    _catch_unhandled()


def report_held_back(count: int) -> None:
    """Say how many lines an outage has left out."""
    logger.bind(event=events.LOG_HELD_BACK, count=count).warning(f"Outage: {count} further log lines were held back")


class LineSink:
    """Turns what loguru hands over into one line of bytes."""

    def __init__(self, *, fmt: LogFormat, redact: Callable[[str], str], output: Output) -> None:
        self._line = json_line if fmt == "json" else text_line
        self._redact = json_kept(redact) if fmt == "json" else redact
        self._output = output

    def write(self, message: Any) -> None:
        """Write the line of `message`, whose text is that of the exception, if any."""
        self._output.write(self._redact(self._line(message.record, str(message).strip())))


class Intercept(logging.Handler):
    """Hands the standard library's lines to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log `record` under its own level, with its logger's name as a fact."""
        name = record.levelname if record.levelname in LEVELS.values() or record.levelname == "CRITICAL" else None
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            message = str(record.msg)
        bound = logger.bind(event=events.LIBRARY, logger=record.name)
        bound.opt(exception=record.exc_info).log(name or "INFO", message)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - the name and signature are logging's
        """Count what could not be logged; the library's way is a raw traceback on standard error."""
        LOG_LINES_LOST.inc()


def _admit(record: dict[str, Any], control: FloodControl) -> bool:
    if record["extra"].get("event") == events.LOG_HELD_BACK:
        return True
    decision: Decision = control.admit(kind_of(record["extra"]))
    if decision.report:
        report_held_back(decision.report)
    if not decision.write:
        LOG_LINES_HELD_BACK.inc()
    record["short"] = decision.short
    return decision.write


def _catch_unhandled() -> None:
    """Unhandled errors become log lines: their own way to standard error is not redacted."""

    def main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        bound = logger.bind(event=events.UNEXPECTED_ERROR).opt(exception=(kind, error, trace))
        bound.critical("Unhandled error")

    def thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is SystemExit or args.exc_value is None:
            return
        name = args.thread.name if args.thread else "?"
        bound = logger.bind(event=events.THREAD_FAILED, failed_thread=name)
        bound.opt(exception=(args.exc_type, args.exc_value, args.exc_traceback)).critical("A thread ended by an error")

    sys.excepthook = main
    threading.excepthook = thread
