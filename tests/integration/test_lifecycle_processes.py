"""Processes from boot to exit code, with real signals and a real process manager."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.http import get
from tests.support.programs import ACCOUNTS, environment_of, program, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.integration

WAITS = "drain.wait()"
# Work in flight that ends when a file is there, or at the deadline.
WORKS_ON = """
from pathlib import Path
drain.wait()
print('asked to end', flush=True)
while drain.left_s() and not Path('finish').exists():
    threading.Event().wait(0.02)
print('work is done', flush=True)
"""


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def environment(tmp_path, port):
    return environment_of(tmp_path, PORT=str(port))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_process_with_0(tmp_path, environment, number):
    with running(program(WAITS), tmp_path, {**environment, "SHUTDOWN_GRACE_S": "60"}) as found:
        found.wait_for_line("Server started - some features may be degraded")
        found.process.send_signal(number)
        assert found.process.wait(20) == 0
        assert "Stopped" in found.text
        assert "planted-password" not in found.text
        assert "Traceback" not in found.text


def test_while_draining_readiness_is_503_and_liveness_200(tmp_path, environment, port):
    with running(program(WORKS_ON), tmp_path, {**environment, "SHUTDOWN_GRACE_S": "60"}) as found:
        found.wait_for_line("Server started")
        assert get(port, "/health/ready").status == 200
        found.process.send_signal(signal.SIGTERM)
        found.wait_for_line("asked to end")
        ready = get(port, "/health/ready")
        assert (ready.status, ready.json["draining"]) == (503, True)
        assert get(port, "/health/live").status == 200
        (tmp_path / "finish").touch()
        assert found.process.wait(20) == 0
        assert "work is done" in found.text


def test_two_signals_at_once_are_one_and_a_later_one_stops_at_once(tmp_path, environment):
    with running(program(WORKS_ON), tmp_path, {**environment, "SHUTDOWN_GRACE_S": "60"}) as found:
        found.wait_for_line("Server started")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            found.process.send_signal(number)
        found.wait_for_line("asked to end")
        later_s = time.monotonic() + 1.2
        wait_for(lambda: time.monotonic() > later_s, 20, "the second of grace for repeated signals")
        assert found.process.poll() is None
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(20) == 1
        assert "Stopped at once" in found.text
        assert "work is done" not in found.text


@pytest.mark.parametrize(
    ("setting", "value", "line"),
    [
        ("COST_WINDOW_DAYS", "0", "COST_WINDOW_DAYS: "),
        ("REDIS_URL", "http://:planted-password@x", "REDIS_URL: must begin with redis://"),
        ("ACCOUNTS_FILE", "/nowhere/accounts.toml", "/nowhere/accounts.toml: does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2_before_a_port_opens(tmp_path, environment, setting, value, line):
    with running(program(WAITS), tmp_path, {**environment, setting: value}) as found:
        assert found.process.wait(30) == 2
        lines = found.text.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(line)
        assert "planted-password" not in found.text


def test_a_mistake_found_by_the_process_itself_is_exit_2_too(tmp_path, environment):
    body = "from shared.core.errors import SettingsError\nraise SettingsError(problems=['PORT: 4000 is taken'])"
    with running(program(body), tmp_path, environment) as found:
        assert found.process.wait(30) == 2
        assert "PORT: 4000 is taken\n" in found.text


def test_an_unexpected_error_is_told_without_secrets_and_ends_with_1(tmp_path, environment):
    with running(program("raise RuntimeError('planted-password')"), tmp_path, environment) as found:
        assert found.process.wait(30) == 1
        assert "The process failed" in found.text
        assert "planted-password" not in found.text


def test_a_thread_that_will_not_end_does_not_hold_up_the_process(tmp_path, environment):
    body = "threading.Thread(target=threading.Event().wait).start()\ndrain.wait()"
    with running(program(body), tmp_path, environment) as found:
        found.wait_for_line("Server started")
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(30) == 1
        assert "Stopped at once" in found.text


def test_a_process_whose_manager_was_killed_drains_and_ends(tmp_path, environment):
    (tmp_path / "accounts.toml").write_text(ACCOUNTS)
    (tmp_path / "program.py").write_text(program(WAITS))
    (tmp_path / "Procfile").write_text(f"one: exec {sys.executable} program.py\n")
    log = tmp_path / "log"
    honcho = [str(Path(sys.executable).with_name("honcho")), "start", "-p", environment["PORT"]]
    with log.open("wb") as output:
        manager = subprocess.Popen(honcho, cwd=tmp_path, env=environment, stdout=output, stderr=output)
    try:
        wait_for(lambda: "Server started" in log.read_text(), 30, "the process to start")
        family = psutil.Process(manager.pid).children(recursive=True)
        (one,) = [child for child in family if "program.py" in child.cmdline()]
        manager.kill()
        manager.wait()
        wait_for(lambda: not one.is_running() or one.status() == psutil.STATUS_ZOMBIE, 20, "the process to end")
        wait_for(lambda: not any(child.is_running() for child in family), 20, "all of the family to end")
    finally:
        manager.kill()
        for child in filter(lambda child: _mine(child, tmp_path), psutil.process_iter()):
            child.kill()


def _mine(child: psutil.Process, folder: Path) -> bool:
    try:
        return child.pid != os.getpid() and child.cwd() == str(folder)
    except psutil.Error:
        return False


def test_a_closed_output_neither_ends_a_process_nor_spoils_its_exit_code(tmp_path, environment):
    (tmp_path / "accounts.toml").write_text(ACCOUNTS)
    command, pipe = [sys.executable, "-c", program(WAITS)], subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stderr
        assert b"Redis" in process.stdout.readline()
        process.stdout.close()
        wait_for(lambda: answers(int(environment["PORT"])), 30, "probes to be answered")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr.read() == b""


def answers(port: int) -> bool:
    try:
        return get(port, "/health/live").status == 200
    except OSError:
        return False
