"""One redis-server child: started, watched, talked to, stopped. It never outlives this process."""

import contextlib
import os
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Final

import redis
from loguru import logger
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.embedded_redis.address import ServerAddress
from shared.observability import events

LAST_WORDS: Final = 20
ANSWER_DEADLINE_S: Final = 1.0
# Short enough for a process manager that kills after 5 s, drain included; the file is at most 1 s behind.
STOP_DEADLINE_S: Final = 2.0
# Ends the server whose pid it was given as soon as its standard input closes: when it is told to, or when this
# process is gone, even by SIGKILL. A shell does it on every Unix; asking the kernel works on Linux alone.
GUARD_SCRIPT: Final = """
read -r _
kill -TERM "$1" 2>/dev/null || exit
for second in 1 2 3; do
  kill -0 "$1" 2>/dev/null || exit
  sleep 1
done
kill -KILL "$1" 2>/dev/null
"""
GUARD: Final = ("/bin/sh", "-c", GUARD_SCRIPT, "guard")


class Server:
    """A redis-server under a guard. `start` once; `stop` is safe at any time and twice."""

    def __init__(self, binary: Path, config: str) -> None:
        self._binary = binary
        self._config = config
        self._last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._child: subprocess.Popen[str] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._reader: Thread | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, None before `start`."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the child in a session of its own: a signal to this process's whole group must not end it."""
        self._child = subprocess.Popen(  # noqa: S603 - the operator's own program
            [self._binary, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._guard = subprocess.Popen(  # noqa: S603 - constant but for a number
            [*GUARD, str(self._child.pid)],
            stdin=subprocess.PIPE,
            env={"PATH": os.defpath},
            start_new_session=True,
        )
        self._reader = Thread(target=self._read, name="redis-server-output", daemon=True)
        self._reader.start()
        if self._child.stdin is None:
            raise AssertionError("the child was started with a pipe")
        # A child that ended at once shows in exit_code(); its closed pipe says nothing more.
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(self._config)
            self._child.stdin.close()

    def exit_code(self) -> int | None:
        """None while the child runs (or was not started); negative: the signal that ended it."""
        return self._child.poll() if self._child is not None else None

    def last_words(self) -> Sequence[str]:
        """The child's newest lines; complete once it has ended."""
        if self._reader is not None and self.exit_code() is not None:
            self._reader.join(ANSWER_DEADLINE_S)
        return tuple(self._last_words)

    def stop(self) -> None:
        """End the child: asked first, killed when it does not listen."""
        child, guard = self._child, self._guard
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if guard is not None:
            # Not by closing its input: its kill would hit whoever has been given the child's number since.
            guard.kill()
            guard.wait()
            if guard.stdin is not None:
                guard.stdin.close()
        if self._reader is not None:
            self._reader.join(ANSWER_DEADLINE_S)

    def _read(self) -> None:
        if self._child is None or self._child.stdout is None:
            raise AssertionError("the child was started with a pipe")
        with self._child.stdout as lines:
            for line in lines:
                words = line.strip()
                if words:
                    self._last_words.append(words)
                    logger.bind(event=events.LIBRARY, line=words).debug("Embedded Redis: Server output")


def client_for(address: ServerAddress) -> redis.Redis:
    """Give a client that fails fast, with one connection at a time."""
    where = {"unix_socket_path": str(address.socket)} if address.socket is not None else {"host": address.host}
    return redis.Redis(
        **where,  # type: ignore[arg-type] # one of two ways to say where
        port=address.port,
        username=address.username,
        password=address.password,
        socket_connect_timeout=ANSWER_DEADLINE_S,
        socket_timeout=ANSWER_DEADLINE_S,
        retry=Retry(NoBackoff(), 0),
        max_connections=1,
    )


def answers(client: redis.Redis) -> bool:
    """Whether a Redis answers there, be it with an error: one that loads, or wants another password, is there."""
    try:
        client.ping()
    except (redis.BusyLoadingError, redis.AuthenticationError, redis.ResponseError):
        return True
    except redis.RedisError:
        return False
    return True


def other_clients(client: redis.Redis) -> int:
    """Count who is connected besides `client`. Raises redis.RedisError."""
    mine = client.client_id()
    return sum(int(other["id"]) != int(mine) for other in client.client_list())
