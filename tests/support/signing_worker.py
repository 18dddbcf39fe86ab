"""The worker, signing in as files say: `python -m tests.support.signing_worker`, see tests/support/signing.py.

Checks come at once instead of once a second, and are given up after SIGN_IN_DEADLINE_S.
"""

import os
from functools import partial

from shared.costs.sign_in import SignIns
from tests.support.signing import replace_providers
from tests.support.worker_main import real_setup, run
from workers.credentials import CredentialChecks


def setup() -> None:
    """What Dramatiq calls in place of the worker's own."""
    replace_providers()
    deadline_s = float(os.environ.get("SIGN_IN_DEADLINE_S", "10"))
    checks = partial(CredentialChecks, pace_s=0.01, sign_ins=SignIns(deadline_s=deadline_s))
    real_setup(CredentialChecks=checks)


if __name__ == "__main__":
    run("tests.support.signing_worker:setup")
