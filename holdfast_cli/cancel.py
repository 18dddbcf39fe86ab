"""`holdfast cancel RUN`."""

from typing import Final

from holdfast_cli.output import print_json, stdout
from holdfast_cli.runs import days_text
from shared.bootstrap.command import Ledger
from shared.core.errors import UnknownRunError
from shared.ledger.documents import run_document
from shared.ledger.endings import cancel_run

# More digits than any id has: Python refuses to read very long numbers.
LONGEST: Final = 20


def cancel(ledger: Ledger, run: str, *, as_json: bool) -> None:
    """End a run that has not ended. Raises UnknownRunError, RunFinishedError."""
    if not (run.isascii() and run.isdecimal() and len(run) <= LONGEST):
        raise UnknownRunError(run_id=run)
    cancelled = cancel_run(ledger.db, int(run))
    if as_json:
        print_json(run_document(cancelled))
        return
    stdout().print(f"Run {cancelled.id}: {cancelled.account}, {days_text(cancelled.days)}: cancelled.", markup=False)
