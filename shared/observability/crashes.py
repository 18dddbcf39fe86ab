"""Errors that nobody catches, before there is a log: told on standard error as ever, but without a secret."""

import sys
import threading
import traceback
from types import TracebackType

from shared.observability.redactor import without_secrets


def redact_crashes() -> None:
    """From now on tracebacks of errors that nobody catches pass redaction, until a log is set up to take them."""
    sys.excepthook = _tell
    threading.excepthook = _tell_of_thread


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(without_secrets("".join(traceback.format_exception(kind, error, trace))))
    sys.stderr.flush()


def _tell_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit and args.exc_value is not None:
        _tell(args.exc_type, args.exc_value, args.exc_traceback)
