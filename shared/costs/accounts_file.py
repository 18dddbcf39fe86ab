"""accounts.toml: read at start, and again when it changes. docs/providers.md is its reference."""

import re
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from loguru import logger
from pydantic import ValidationError

from shared.core.errors import AccountsFileError
from shared.costs.accounts import ACCOUNT_TYPES, AccountConfig, AwsAccount, AzureAccount, FocusAccount
from shared.costs.accounts_problems import described, unusable_provider
from shared.observability import events

__all__ = ["AccountConfig", "AccountsFile", "AwsAccount", "AzureAccount", "FocusAccount", "load_accounts"]

TABLE: Final = "account"
TABLE_LINE: Final = re.compile(r"^\s*\[\[\s*(?:account|'account'|\"account\")\s*\]\]")
EXAMPLE: Final = '[[account]] with name = "exports", provider = "focus", path = "var/exports/*.csv"'

# Size, modification time and inode: a file renamed into place differs in the last, an edited one in the others.
Stamp = tuple[int, int, int]


def load_accounts(path: Path | str) -> tuple[AccountConfig, ...]:
    """The accounts of the file, in its order. Raises AccountsFileError with one line for each mistake."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _error(path, f"does not exist; write it with {EXAMPLE}, or name another file by ACCOUNTS_FILE") from None
    except UnicodeDecodeError:
        raise _error(path, "is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror}); ACCOUNTS_FILE names it") from None
    return _parse(path, text)


class AccountsFile:
    """The accounts as of now: the file is looked at whenever they are asked for. Safe to use from any thread."""

    def __init__(self, path: Path | str, *, may_be_missing: bool = False) -> None:
        self.path = Path(path)
        self._may_be_missing = may_be_missing
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._accounts: tuple[AccountConfig, ...] = ()

    def load(self) -> tuple[AccountConfig, ...]:
        """Read the file, at start: no accounts when it is missing and may be. Raises AccountsFileError."""
        with self._lock:
            # The stamp is taken first: what changes during the reading is read again, never missed.
            self._stamp = _stamp(self.path)
            if self._stamp is None and self._may_be_missing:
                return self._accounts
            self._accounts = load_accounts(self.path)
            return self._accounts

    def current(self) -> tuple[AccountConfig, ...]:
        """The accounts, read again if the file has changed. A mistake keeps the old ones and logs one line a change."""
        with self._lock:
            stamp = _stamp(self.path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._read_again()
            return self._accounts

    def _read_again(self) -> None:
        try:
            accounts = load_accounts(self.path)
            if self._accounts and not accounts:
                # More often a file cut short than a wish: it would mark every account as removed.
                raise _error(self.path, "holds no [[account]] any more; to remove the last one, restart Holdfast")
        except AccountsFileError as error:
            logger.bind(event=events.ACCOUNTS_INVALID, file=str(self.path), problems=error.problems).error(
                "Accounts file is wrong, the accounts read before stay in use: " + "; ".join(error.problems)
            )
            return
        if accounts != self._accounts:
            logger.bind(event=events.ACCOUNTS_LOADED, file=str(self.path), accounts=len(accounts)).info(
                "Accounts file read again"
            )
        self._accounts = accounts


def _parse(path: Path | str, text: str) -> tuple[AccountConfig, ...]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _error(path, f"is not valid TOML: {error}") from None
    tables = document.get(TABLE, [])
    problems = list(_structure_problems(document, tables))
    if problems:
        raise _error(path, *problems)
    accounts, problems = _accounts(tables, _table_lines(text))
    if problems:
        raise _error(path, *problems)
    return tuple(accounts)


def _structure_problems(document: Mapping[str, Any], tables: object) -> Iterator[str]:
    for key in document:
        if key != TABLE:
            yield f"unknown entry '{key}'; every account begins with [[account]]"
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        yield "account must be written with double brackets: [[account]]"


def _accounts(tables: Sequence[Mapping[str, Any]], lines: Sequence[int]) -> tuple[list[AccountConfig], list[str]]:
    accounts: list[AccountConfig] = []
    problems: list[str] = []
    first_line_of: dict[str, str] = {}
    for index, table in enumerate(tables):
        line = f"line {lines[index]}" if len(lines) == len(tables) else f"account number {index + 1}"
        name = table.get("name")
        who = f"{line}: account '{name}'" if isinstance(name, str) and name else line
        problems += [f"{who}: {problem}" for problem in _checked(table, accounts)]
        if isinstance(name, str) and first_line_of.setdefault(name, line) != line:
            problems.append(f"{who}: field 'name': is used at {first_line_of[name]} already; names must differ")
    return accounts, problems


def _checked(table: Mapping[str, Any], accounts: list[AccountConfig]) -> Iterator[str]:
    """Append the table's account to `accounts`, or yield what is wrong with it."""
    provider = table.get("provider")
    kind = ACCOUNT_TYPES.get(provider) if isinstance(provider, str) else None
    if kind is None:
        yield unusable_provider(table, tuple(ACCOUNT_TYPES))
        return
    try:
        accounts.append(kind.model_validate(dict(table)))
    except ValidationError as error:
        yield from described(error, kind)


def _table_lines(text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), start=1) if TABLE_LINE.match(line)]


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _error(path: Path | str, *problems: str) -> AccountsFileError:
    return AccountsFileError(problems=[f"{path}: {problem}" for problem in problems])
