"""Options that several commands share."""

from typing import Annotated

import typer

Start = Annotated[str | None, typer.Option("--start", metavar="DAY", help="First day, YYYY-MM-DD (UTC).")]
End = Annotated[str | None, typer.Option("--end", metavar="DAY", help="Last day, inclusive.")]
Account = Annotated[str | None, typer.Option("--account", metavar="NAME", help="This account alone.")]
Accounts = Annotated[list[str] | None, typer.Option("--account", metavar="NAME", help="May be repeated.")]
Held = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its name in the accounts file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, shaped like the API's answer.")]
