"""What a test needs from its machine: skipped where it is missing, failed where it must not be (CI)."""

import os
from typing import NoReturn

import pytest

TRUE = {"1", "true", "yes"}


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test with `reason`; under CI=true fail, since there a skipped test would hide what it guards."""
    if os.environ.get("CI", "").lower() in TRUE:
        pytest.fail(f"needed under CI: {reason}", pytrace=False)
    pytest.skip(reason)
