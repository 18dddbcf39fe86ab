"""Whether the process manager that started this process is still there.

honcho killed with SIGKILL orphans its children: each of them looks after that itself.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

# honcho sets it for every process that it starts.
MANAGER_VARIABLE: Final = "HONCHO_PROCESS_NAME"
# A manager, its helper and a shell: more generations between it and this process are not known.
GENERATIONS: Final = 6


def parent_watch(environment: Mapping[str, str] = os.environ) -> Callable[[], bool]:
    """Return a question: has the manager of this moment gone? Always no for a process without one.

    Ask it often and early: a manager that died before this call is not noticed.
    """
    if not environment.get(MANAGER_VARIABLE):
        return lambda: False
    me = os.getpid()
    line = list(_line_to_manager(me))
    return lambda: os.getpid() == me and any(parent_of(child) != parent for child, parent in line)


def parent_of(pid: int) -> int | None:
    """The parent of `pid`, None when there is no such process."""
    if pid == os.getpid():
        return os.getppid()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _parent_by_ps(pid)
    # The name in brackets may itself hold brackets and blanks; behind the last one stand the state and the parent.
    return int(stat.rpartition(")")[2].split()[1])


def _line_to_manager(pid: int) -> Iterator[tuple[int, int]]:
    """Pairs of child and parent, from `pid` up to the manager.

    honcho forks a helper for every process and starts the process from there in a session of its own. The helper
    outlives a killed honcho, so one's own parent never changes: the first parent in another session is the helper, and
    the manager is one further up.
    """
    session = os.getsid(0)
    for _ in range(GENERATIONS):
        parent = parent_of(pid)
        if not parent:
            return
        yield pid, parent
        if os.getsid(pid) != session:
            return
        pid = parent


def _parent_by_ps(pid: int) -> int | None:
    # A system without /proc: developers' machines, where a process a second is no burden.
    found = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607 - constant but for a number; ps stands where it stands
    return int(found.stdout) if found.stdout.strip() else None
