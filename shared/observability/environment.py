"""What is hidden before anything is read or told: the secrets of the environment and of .env, also in a crash."""

import os
from contextlib import suppress

from dotenv import dotenv_values

from shared.observability.crashes import redact_crashes
from shared.observability.redactor import hide, secrets_of_environment
from shared.settings import DOTENV


def hide_environment() -> None:
    """Hide what the environment and .env hold, before anything is read from them: also in what is told of a crash."""
    redact_crashes()
    hide(secrets_of_environment(os.environ))
    # Whoever reads the settings from it tells what is wrong with it.
    with suppress(OSError, UnicodeDecodeError):
        hide(secrets_of_environment({name: value or "" for name, value in dotenv_values(DOTENV).items()}))
