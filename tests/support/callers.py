"""Many who ask at once, each about every second: `python -m tests.support.callers PORT PATH THREADS`.

A process of its own: its threads would else hold up those that measure.
"""

import sys
import threading
from http.client import HTTPException

from tests.support.system import request


def ask(port: int, path: str, ready: threading.Event) -> None:
    """Ask until the process ends. That nothing answers is the test's affair."""
    never = threading.Event()
    ready.wait()
    while not never.wait(1.0):
        try:
            request(port, path)
        except (OSError, HTTPException):
            continue


def main() -> None:
    port, path, threads = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    ready = threading.Event()
    callers = [threading.Thread(target=ask, args=(port, path, ready)) for _ in range(threads)]
    for caller in callers:
        caller.start()
    ready.set()
    for caller in callers:
        caller.join()


if __name__ == "__main__":
    main()
