"""Fetches a FOCUS file and dies by SIGKILL inside the store's transaction: `python -m tests.support.dying_store`.

Arguments: the database's URL, the file, and the step of `shared.ledger.store` after which it dies.
"""

import os
import signal
import sys
from typing import Any

from shared.costs.focus.provider import FocusProvider
from shared.ledger import store
from shared.ledger.claims import claim_next_due
from shared.ledger.database import Database


def main(url: str, path: str, step: str) -> None:
    """Claim the run that waits, and die while storing it."""
    real = vars(store)[step]

    def last(*arguments: Any) -> None:
        real(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    vars(store)[step] = last
    db = Database(url)
    claim = claim_next_due(db, holder="dying")
    assert claim is not None
    store.store(db, claim, FocusProvider(path).fetch(claim.run.days))


if __name__ == "__main__":
    main(*sys.argv[1:])
