"""The release, as health answers, the fleet's beats and `holdfast --version` state it."""

from typing import Final

VERSION: Final = "0.1.0"
