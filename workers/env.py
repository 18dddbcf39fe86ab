"""What the launcher tells the processes below it, by variables of the environment that nobody else sets."""

from typing import Final

LAUNCHER_PID: Final = "HOLDFAST_LAUNCHER_PID"
BOARD: Final = "HOLDFAST_WORKER_BOARD"
# The read end of a pipe whose other end only the launcher has: it closes when the launcher is gone.
LIFELINE: Final = "HOLDFAST_WORKER_LIFELINE"
METRICS: Final = "PROMETHEUS_MULTIPROC_DIR"
# Dramatiq's own: a process takes no more hints than it has threads, or they wait there while other processes idle.
PREFETCH: Final = "dramatiq_queue_prefetch"
