"""`make run`: sample costs, free ports and what to try; then honcho takes this process over and runs Procfile.dev."""

import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from dotenv import dotenv_values

from holdfast_cli import failures
from holdfast_cli.samples import prepare_dev
from shared.core.errors import HoldfastError, SettingsError
from shared.embedded_redis.binary import find_binary
from shared.observability.environment import hide_environment
from shared.observability.redactor import without_secrets
from shared.settings import DEFAULT_PORTS, DOTENV, load_settings

BASE_PORT: Final = 4000
REDIS_PORT: Final = 6379
PROCFILE: Final = "Procfile.dev"
# honcho kills what has not gone 5 s after the signal.
GRACE_S: Final = "4"


@dataclass(frozen=True, slots=True)
class Ports:
    """Who will listen where, counted from honcho's base port."""

    base: int

    def all(self) -> Mapping[int, str]:
        """Each port with the one who needs it."""
        offsets = {port - BASE_PORT: name for name, port in DEFAULT_PORTS.items()}
        return {
            **{self.base + offset: name for offset, name in offsets.items()},
            self.base + 50: "status_api's probes",
        }


def main() -> NoReturn:
    """Get ready and hand over to honcho."""
    hide_environment()
    try:
        environment = prepare(os.environ, dict(dotenv_values(DOTENV)))
    except HoldfastError as error:
        for line in failures.lines(error):
            print(without_secrets(line), file=sys.stderr)  # noqa: T201 - the command's answer
        sys.exit(failures.USAGE)
    sys.stdout.flush()
    python = Path(sys.executable)
    os.execve(  # noqa: S606 - honcho takes this process's place, so that signals and its end are its own
        python,
        [str(python), "-m", "honcho", "start", "-f", PROCFILE, "-p", environment["PORT"]],
        environment,
    )


def prepare(given: Mapping[str, str], dotenv: Mapping[str, str | None]) -> dict[str, str]:
    """Write the samples, tell what to try, and return the environment for honcho. Raises HoldfastError."""
    settings = load_settings()  # a mistake is told here once rather than by four processes at a time
    environment = dict(given)
    base = base_port(given, dotenv)
    require_free(Ports(base))
    environment["PORT"] = str(base)
    environment.setdefault("SHUTDOWN_GRACE_S", GRACE_S)
    environment["PYTHONUNBUFFERED"] = "1"
    # Procfile lines say `python`: the one of this virtual environment.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)])
    find_binary(settings.embedded_redis_bin, environment["PATH"])
    redis = choose_redis(environment, dotenv)
    costs = "the sample exports" if prepare_dev(settings.accounts_file) else f"{settings.accounts_file}'s accounts"
    print(welcome(base, redis=redis, costs=costs))  # noqa: T201 - the command's answer
    return environment


def require_free(ports: Ports) -> None:
    """Raise SettingsError with a line for each port that somebody listens on."""
    problems = [
        f"Port {port} is taken, {user} needs it: stop who listens there, or move everything with make run PORT=5000"
        for port, user in ports.all().items()
        if not port_is_free(port)
    ]
    if problems:
        raise SettingsError(problems=problems)


def base_port(given: Mapping[str, str], dotenv: Mapping[str, str | None]) -> int:
    """Where honcho begins to count: .env wins with it, then the environment. Raises SettingsError."""
    text = dotenv.get("PORT") or given.get("PORT") or str(BASE_PORT)
    if not text.isdecimal() or not 1 <= int(text) <= 65_535 - 400:
        raise SettingsError(problems=[f"PORT: must be a port number up to 65135, such as 4000 (given: {text!r})"])
    return int(text)


def choose_redis(
    environment: MutableMapping[str, str],
    dotenv: Mapping[str, str | None],
    is_free: Callable[[int], bool] | None = None,
) -> str:
    """Set REDIS_URL where it is not set: the usual port, or a free one beside a Redis that is there. Tells which."""
    is_free = is_free or port_is_free
    if dotenv.get("REDIS_URL") or environment.get("REDIS_URL"):
        return "as REDIS_URL says"
    if is_free(REDIS_PORT):
        return f"port {REDIS_PORT}"
    port = next(candidate for candidate in range(REDIS_PORT + 10, REDIS_PORT + 1000) if is_free(candidate))
    environment["REDIS_URL"] = f"redis://localhost:{port}/0"
    return f"port {port}, since {REDIS_PORT} is taken (for other commands: export REDIS_URL=redis://localhost:{port}/0)"


def port_is_free(port: int) -> bool:
    """Whether a server could listen there now, on either loopback."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no hindrance
                probe.bind((host, port))
        except OSError as error:
            # Anything else means that this machine lacks the address, so that nobody can hold its port.
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
    return True


def welcome(base: int, *, redis: str, costs: str) -> str:
    """Where to look and what to try."""
    api = f"http://127.0.0.1:{base}"
    return f"""
Holdfast starts: API on {api}, scheduler {base + 100}, worker {base + 200}, Redis on {redis}.
The first catch-up collects the last 30 days of {costs} by itself.
In a second terminal, try:

  .venv/bin/holdfast coverage                         which days are there
  .venv/bin/holdfast costs                            a bar for each day
  .venv/bin/holdfast costs --group-by account,service
  .venv/bin/holdfast anomalies                        a minute later: what was not to be expected
  .venv/bin/holdfast collect --wait                   collect the last days once more
  curl {api}/health/ready
  curl '{api}/api/v1/costs?groupBy=day,service'
  curl {api}/api/v1/coverage

Ctrl-C stops everything. Costs stay in var/holdfast.db, exports in var/exports, settings may stand in .env.
"""


if __name__ == "__main__":
    main()
