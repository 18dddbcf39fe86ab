"""Both fake clouds as a process: `make fake-clouds`, or the whole system on them: `make run CLOUDS=fake`.

    python -m tests.fakes [--payers 3] [--subscriptions 3] [--run]

It writes the accounts file and the variables that belong to it into var/fake-clouds and serves until Ctrl-C. With
--run it starts Holdfast on them, with a database of its own, and ends with it.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.clouds import Clouds

FOLDER = Path("var/fake-clouds")
# As long as anybody lets it run.
TOKEN_S = 30 * 86_400.0
END_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    given = _parser().parse_args()
    asked_to_end = threading.Event()
    for number in END_SIGNALS:
        signal.signal(number, lambda *_: asked_to_end.set())
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Clouds(given.payers, given.subscriptions, token_s=TOKEN_S, quota=1.0) as clouds:
        settings = _settings(clouds)
        _say(clouds)
        if given.run:
            return _run(settings, asked_to_end)
        asked_to_end.wait()
    return 0


def _settings(clouds: Clouds) -> dict[str, str]:
    accounts = FOLDER / "accounts.toml"
    accounts.write_text(clouds.accounts_toml())
    settings = {
        **clouds.environment(),
        "ACCOUNTS_FILE": str(accounts),
        "DATABASE_URL": f"sqlite:///{FOLDER}/holdfast.db",
    }
    lines = "".join(f"export {name}='{value}'\n" for name, value in settings.items())
    (FOLDER / "env").write_text(lines)
    return settings


def _say(clouds: Clouds) -> None:
    sys.stdout.write(
        f"""
Fake Cost Explorer and STS on {clouds.aws.url}, fake Azure Query on {clouds.azure.url}; GET /_control of each tells what
was asked and what AWS would have charged. Accounts: {", ".join(clouds.names)}.
For commands in another terminal: . {FOLDER}/env
"""
    )
    sys.stdout.flush()


def _run(settings: Mapping[str, str], asked_to_end: threading.Event) -> int:
    """Holdfast on the fakes. Ctrl-C reaches it by itself, being of the same terminal."""
    with subprocess.Popen([sys.executable, "-m", "holdfast_cli.devrun"], env={**os.environ, **settings}) as holdfast:
        while holdfast.poll() is None:
            if asked_to_end.wait(0.2):
                holdfast.send_signal(signal.SIGTERM)
                return holdfast.wait()
        return holdfast.returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--payers", type=int, default=3)
    parser.add_argument("--subscriptions", type=int, default=3)
    parser.add_argument("--run", action="store_true", help="start Holdfast on them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
