"""The log's output: a full disk, a reader that has gone and one that does not read cost lines and nothing else."""

import fcntl
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.observability.metrics import LOG_LINES_LOST
from shared.observability.output import READER_MS, Output
from tests.support.system import ROOT
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

FULL = Path("/dev/full")
# Logs, then says on standard error how many lines were lost, and ends as a process does.
LOGGER = """
import sys
from loguru import logger
from shared.observability.logs import configure_logging
from shared.observability.metrics import LOG_LINES_LOST
configure_logging(level="info", fmt="text", process="worker")
for number in range({lines}):
    logger.info("x" * 200)
print(int(LOG_LINES_LOST._value.get()), file=sys.stderr)
"""


def logs(stdout, lines=5, *, unbuffered=False):
    """What a process that logs so many lines to `stdout` says on standard error, and its exit code."""
    return subprocess.run(
        [sys.executable, *(["-u"] if unbuffered else []), "-c", LOGGER.format(lines=lines)],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


def lost():
    return LOG_LINES_LOST._value.get()


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_log_on_a_full_disk_loses_lines_and_leaves_the_exit_code_alone(unbuffered):
    with FULL.open("wb") as full:
        done = logs(full, unbuffered=unbuffered)
    assert (done.stderr.strip(), done.returncode) == ("5", 0)


def test_a_reader_that_has_gone_leaves_the_exit_code_alone():
    reader, writer = os.pipe()
    os.close(reader)
    done = logs(writer)
    os.close(writer)
    # The first line finds out; the others go nowhere.
    assert (done.stderr.strip(), done.returncode) == ("1", 0)


def test_a_reader_that_does_not_read_stalls_nobody_and_no_line_that_was_taken_is_torn():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 8192)
    done = logs(writer, lines=2000)
    os.close(writer)
    taken = wait_for(lambda: os.read(reader, 1_000_000), 5)
    os.close(reader)
    lines = taken.splitlines()
    assert done.returncode == 0
    assert int(done.stderr) + len(lines) == 2000
    assert len(lines) > 10
    assert all(line.endswith(b"x" * 200) for line in lines)


def test_lines_go_on_when_the_reader_reads_again():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(writer, "wb", buffering=0) as stream:
        output, before = Output(stream), lost()
        output.write("a" * 3000)
        began_s = time.monotonic()
        for _ in range(20):
            output.write("b" * 3000)
        # One of them waited for the reader, the others did not.
        assert time.monotonic() - began_s < READER_MS / 1000 * 10
        assert lost() - before == 20
        assert os.read(reader, 100_000).startswith(b"aaa")
        output.write("c")
        assert lost() - before == 20
    assert os.read(reader, 100_000).splitlines()[-1] == b"c"
    os.close(reader)


def test_a_line_longer_than_a_pipe_holds_arrives_whole():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream, ThreadPoolExecutor(1) as pool:
        read = pool.submit(stream.read)
        with os.fdopen(writer, "wb", buffering=0) as other_end:
            Output(other_end).write("x" * 300_000)
        assert read.result(30) == b"x" * 300_000 + b"\n"
