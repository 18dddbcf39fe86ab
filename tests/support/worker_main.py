"""The launcher of the workers as it is, but for what its worker processes call first."""

import sys
from collections.abc import Callable
from typing import NoReturn

OWN = "workers.main:setup"


def run(setup: str) -> NoReturn:
    """`python -m workers`, whose worker processes call `setup` ("module:function") in place of their own."""
    import workers.launcher
    from workers.__main__ import main
    from workers.crew import command

    def changed(**options: float) -> list[str]:
        return [setup if part == OWN else part for part in command(**options)]  # type: ignore[arg-type] # handed through

    vars(workers.launcher)["command"] = changed
    sys.exit(main())


def real_setup(**replaced: Callable[..., object]) -> None:
    """What worker processes call, with names of `workers.child` replaced."""
    import workers.child
    from workers.main import setup

    vars(workers.child).update(replaced)
    setup()
