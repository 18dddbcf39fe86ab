"""A signal that comes while the interpreter ends changes no exit code."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
from shared.observability.signals import ignore_at_exit

class Late:
    # Called when modules are taken apart, which is after handlers have been.
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {number})

signal.signal({number}, lambda *_: None)
{prepared}
late = Late()
sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("prepared", [True, False])
def test_a_late_signal_changes_no_exit_code(number, prepared):
    line = f"ignore_at_exit([signal.Signals({number:d})])" if prepared else ""
    program = PROGRAM.format(number=int(number), prepared=line)
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    # Without it the signal has its default meaning again: the test would see if that were not so.
    assert done.returncode == (7 if prepared else -number)
