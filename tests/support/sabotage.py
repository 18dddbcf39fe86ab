"""A process with a saboteur in it: `python -m tests.support.sabotage scheduler` (or status_api, worker).

He waits for the file `sabotage-PID`, which says line by line what to do to which of the process's threads: `end NAME`
ends it as an error that nobody foresaw would, `stick NAME` has it stand still for good, as a deadlock would.
"""

import ctypes
import os
import runpy
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.worker_main import real_setup, run

POLL_S = 0.05
_sticking: set[str] = set()


def order(folder: Path, pid: int, *what: str) -> None:
    """Have the saboteur in the process `pid` do all of it."""
    draft = folder / f"sabotage-{pid}.draft"
    draft.write_text("\n".join(what))
    draft.rename(folder / f"sabotage-{pid}")


def end(name: str) -> None:
    """End the first thread that is called so, or is of a class that is."""
    thread = next(one for one in threading.enumerate() if name in {one.name, type(one).__name__})
    assert thread.ident is not None
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    assert raised == 1


def stickable(owner: type, method: str, name: str) -> None:
    """Let `stick NAME` hold a thread in this method of its."""
    real: Callable[..., Any] = getattr(owner, method)

    def sticking(*arguments: Any) -> Any:
        if name in _sticking:
            threading.Event().wait()
        return real(*arguments)

    setattr(owner, method, sticking)


def saboteur() -> None:
    """Wait for the order and do it."""
    file = Path(f"sabotage-{os.getpid()}")
    while not file.exists():
        threading.Event().wait(POLL_S)
    for line in file.read_text().splitlines():
        what, _, name = line.partition(" ")
        if what == "stick":
            _sticking.add(name)
        else:
            end(name)
    file.unlink()


def begin(*points: tuple[type, str, str]) -> None:
    """Let a saboteur in."""
    from shared.redis_link.supervisor import Supervisor

    for owner, method, name in (*points, (Supervisor, "_pulse", "redis-link")):
        stickable(owner, method, name)
    threading.Thread(target=saboteur, name="saboteur", daemon=True).start()


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    from shared.messaging.consumer import LinkConsumer

    begin((LinkConsumer, "__next__", "ConsumerThread"))
    real_setup()


def main() -> None:
    """Run the process that the first argument names."""
    process = sys.argv[1]
    if process == "worker":
        run("tests.support.sabotage:setup")
    from scheduler.clock import BeatingScheduler

    begin((BeatingScheduler, "_process_jobs", "APScheduler"))
    runpy.run_module(process, run_name="__main__")


if __name__ == "__main__":
    main()
