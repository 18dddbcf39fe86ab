"""`holdfast ledger …`: the ledger itself, when something around it was replaced, and whether all is as it should be."""

from typing import Any, Final

import typer

from holdfast_cli import failures
from holdfast_cli.output import print_json, stdout
from shared.bootstrap.command import Ledger
from shared.ledger import checking

# A run whose holder has died is done by another within its lease and this long.
TAKE_BACK_S: Final = 15.0


def adopt(ledger: Ledger, *, as_json: bool) -> None:
    """Make Redis this ledger's and say whose it was."""
    mine, was = ledger.adopt_redis()
    if as_json:
        print_json({"ledger": str(mine), "was": was})
        return
    before = {None: "which nobody had marked", str(mine): "whose it was already"}.get(was, f"which was ledger {was}'s")
    stdout().print(f"Redis now carries the hints of ledger {mine}, {before}.", markup=False)


def check(ledger: Ledger, *, grace_s: float | None, at_rest: bool, as_json: bool) -> None:
    """Hold the ledger against its invariants and print what breaks them. Exits with 1 when something does."""
    if grace_s is None:
        grace_s = ledger.settings.run_lease_s + TAKE_BACK_S
    findings = checking.check(ledger.db, grace_s=grace_s, at_rest=at_rest)
    broken = [finding for finding in findings if finding.broken]
    if as_json:
        print_json({"sound": not broken, "invariants": [_document(finding) for finding in findings]})
    else:
        for finding in broken:
            _print_finding(finding)
        sound = f"The ledger is sound: {len(findings)} invariants hold."
        stdout().print(f"{len(broken)} of {len(findings)} invariants are broken." if broken else sound, markup=False)
    if broken:
        raise typer.Exit(failures.FAILED)


def _document(finding: checking.Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "holds": finding.holds,
        "broken": [dict(row) for row in finding.broken],
        "more": finding.more,
    }


def _print_finding(finding: checking.Finding) -> None:
    console = stdout()
    console.print(f"{finding.name}: {finding.holds} Not so:", markup=False)
    for row in finding.broken:
        console.print("  " + ", ".join(f"{name} {value}" for name, value in row.items()), markup=False)
    if finding.more:
        console.print("  and more", markup=False)
