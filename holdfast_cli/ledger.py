"""`holdfast ledger adopt`: the ledger itself, when something around it has been replaced."""

from holdfast_cli.output import print_json, stdout
from shared.bootstrap.command import Ledger


def adopt(ledger: Ledger, *, as_json: bool) -> None:
    """Make Redis this ledger's and say whose it was."""
    mine, was = ledger.adopt_redis()
    if as_json:
        print_json({"ledger": str(mine), "was": was})
        return
    before = {None: "which nobody had marked", str(mine): "whose it was already"}.get(was, f"which was ledger {was}'s")
    stdout().print(f"Redis now carries the hints of ledger {mine}, {before}.", markup=False)
