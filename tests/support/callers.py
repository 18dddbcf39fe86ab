"""Many who ask at once, each every other second: `python -m tests.support.callers PORT PATH THREADS`.

A process of its own, which does no more than it must: its threads would else hold up those that measure.
"""

import contextlib
import random
import socket
import sys
import threading

EVERY_S = 2.0
TIMEOUT_S = 10.0
CHUNK = 65_536


def ask(port: int, path: str, ready: threading.Event) -> None:
    """Ask until the process ends. That nothing answers is the test's affair."""
    asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()
    never = threading.Event()
    ready.wait()
    never.wait(random.uniform(0, EVERY_S))
    while not never.wait(EVERY_S):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
            connection.sendall(asked)
            while connection.recv(CHUNK):
                pass


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
