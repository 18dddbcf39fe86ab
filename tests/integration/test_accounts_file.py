"""Reading accounts.toml: every mistake one clear line, and a safe second reading."""

from pathlib import Path

import pytest
from loguru import logger

from shared.core.errors import AccountsFileError
from shared.costs.accounts_file import AccountsFile, AwsAccount, AzureAccount, FocusAccount, load_accounts

pytestmark = pytest.mark.integration

DESIGN = """
[[account]]
name = "corp-payer"
provider = "aws"
account_id = "123456789012"
role_arn = "arn:aws:iam::123456789012:role/CostReader"   # optional
external_id_env = "CORP_EXTERNAL_ID"

[[account]]
name = "prod"
provider = "azure"
scope = "/subscriptions/00000000-0000-0000-0000-000000000000"
token_env = "PROD_AZURE_TOKEN"
endpoint = "http://127.0.0.1:8080"

[[account]]
name = "exports"
provider = "focus"
path = "var/exports/*.csv"
paused = true
"""
FOCUS = '[[account]]\nname = "exports"\nprovider = "focus"\npath = "a.csv"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.toml"


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(AccountsFileError) as caught:
        load_accounts(path)
    for problem in caught.value.problems:
        assert problem.startswith(f"{path}: ")
        assert "\n" not in problem
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_accounts_of_all_providers_are_read_in_order(path):
    path.write_text(DESIGN)
    aws, azure, focus = load_accounts(path)
    assert isinstance(aws, AwsAccount)
    assert isinstance(azure, AzureAccount)
    assert isinstance(focus, FocusAccount)
    assert (aws.external_id_env, azure.endpoint, focus.paused) == ("CORP_EXTERNAL_ID", "http://127.0.0.1:8080", True)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\ufeff"])
def test_a_file_without_accounts_is_no_mistake_at_start(path, text):
    path.write_text(text)
    assert load_accounts(path) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[account]\nname = "a"', "is not valid TOML: Expected"),
        ('[account]\nname = "a"', "account must be written with double brackets: [[account]]"),
        ("account = [1]", "account must be written with double brackets: [[account]]"),
        (f"{FOCUS}[[accounts]]\n", "unknown entry 'accounts'; every account begins with [[account]]"),
        ('[[account]]\nname = "a"', "line 1: account 'a': field 'provider': is missing; it must be one of"),
        ('\n[[account]]\nname = "a"\nprovider = "gcp"', "line 2: account 'a': field 'provider': 'gcp' is not one of"),
        ('[[account]]\nname = "a"\nprovider = 7', "line 1: account 'a': field 'provider': '7' is not one of"),
        (
            '[[account]]\nprovider = "focus"\npath = "a.csv"',
            "line 1: field 'name': is missing; it must be text in quotes",
        ),
        (
            '[[account]]\nname = "a"\nprovider = "focus"',
            "line 1: account 'a': field 'path': is missing; it must be a file",
        ),
        (f"{FOCUS}paused = 1", "line 1: account 'exports': field 'paused': must be true or false, without quotes"),
        (
            f'{FOCUS}pathh = "b"',
            "field 'pathh': is unknown, did you mean 'path'? allowed are name, paused, monthly_budget, ",
        ),
        (f"{FOCUS}monthly_budget = 1200", "field 'monthly_budget': must be an amount in quotes, such as"),
        (f'{FOCUS}monthly_budget = "-5"', "field 'monthly_budget': must be an amount in quotes, such as"),
        (
            f'{FOCUS}monthly_budget = "0.00"\nbudget_currency = "USD"',
            "field 'monthly_budget': must be more than 0; leave it out for an account without a budget",
        ),
        (
            f'{FOCUS}monthly_budget = "5"\nbudget_currency = "usd"',
            "field 'budget_currency': must be three capital letters in quotes",
        ),
        (
            f'{FOCUS}monthly_budget = "5"',
            "field 'budget_currency': is missing; monthly_budget and budget_currency go together",
        ),
        (f'{FOCUS}budget_currency = "USD"', "line 1: account 'exports': field 'monthly_budget': is missing; monthly_"),
        (f"{FOCUS}{FOCUS}", "line 5: account 'exports': field 'name': is used at line 1 already; names must differ"),
        (
            FOCUS.replace("a.csv", "exports"),
            "field 'path': must be a file ending in .csv, .csv.gz, .parquet, or a glob",
        ),
        (
            FOCUS.replace("a.csv", "https://host/a.csv"),
            "field 'path': must be a file or glob on this machine, not a URL",
        ),
        (DESIGN.replace('"123456789012"', "123456789012"), "field 'account_id': must be twelve digits in quotes"),
        (DESIGN.replace("/subscriptions", "subscriptions"), "line 9: account 'prod': field 'scope': must be a scope"),
    ],
)
def test_a_mistake_is_one_line_with_place_account_field_and_cure(path, text, expected):
    (problem,) = problems(path, text)
    assert expected in problem


def test_all_mistakes_are_told_at_once(path):
    found = problems(path, f'{FOCUS}x = 1\npaused = "no"\n[[account]]\nname = "b"\nprovider = "aws"\n')
    assert [line.split(":")[0] for line in found] == ["line 1", "line 1", "line 7"]


@pytest.mark.parametrize(("field", "instead"), [("token", "token_env"), ("token_env", "environment variable")])
def test_a_secret_written_into_the_file_is_never_repeated(path, field, instead):
    (problem,) = problems(
        path, f'[[account]]\nname = "p"\nprovider = "azure"\nscope = "/x/y"\n{field} = "eyJ-secret"\n'
    )
    assert "secret" not in problem.replace("secrets do not stand", "")
    assert instead in problem


def test_a_missing_file_is_told_with_the_cure(path):
    with pytest.raises(AccountsFileError, match=r"does not exist; write it with \[\[account\]\].*ACCOUNTS_FILE"):
        load_accounts(path)


def test_a_folder_and_what_is_no_text_are_told_too(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AccountsFileError, match="is not UTF-8 text"):
        load_accounts(path)
    with pytest.raises(AccountsFileError, match="cannot be read"):
        load_accounts(path.parent)


@pytest.fixture
def lines():
    found: list[str] = []
    handler = logger.add(lambda message: found.append(f"{message.record['level'].name} {message.record['message']}"))
    yield found
    logger.remove(handler)


def change(path: Path, text: str) -> None:
    """As an editor does: another file put in place, so that no clock's resolution matters."""
    (path.parent / "new").write_text(text)
    (path.parent / "new").replace(path)


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(path, lines):
    path.write_text(FOCUS)
    file = AccountsFile(path)
    first = file.load()
    assert file.current() is first
    change(path, DESIGN)
    assert [account.name for account in file.current()] == ["corp-payer", "prod", "exports"]
    file.current()
    assert lines == ["INFO Accounts file read again"]


def test_a_mistake_at_a_second_reading_keeps_the_old_accounts_and_logs_one_line_a_change(path, lines):
    path.write_text(FOCUS)
    file = AccountsFile(path)
    before = file.load()
    change(path, "[[account]]")
    assert [file.current() for _ in range(3)] == [before] * 3
    assert len(lines) == 1
    assert lines[0].startswith("ERROR Accounts file is wrong, the accounts read before stay in use: ")
    change(path, "[[account]")
    assert file.current() == before
    assert len(lines) == 2


def test_a_file_that_vanishes_or_is_cut_to_nothing_removes_no_account(path, lines):
    path.write_text(FOCUS)
    file = AccountsFile(path)
    before = file.load()
    path.unlink()
    assert file.current() == file.current() == before
    path.touch()
    assert file.current() == before
    change(path, FOCUS)
    assert file.current() == before
    assert [line.split()[0] for line in lines] == ["ERROR", "ERROR"]


def test_a_corrected_file_is_taken_after_a_mistake(path):
    path.write_text(FOCUS)
    file = AccountsFile(path)
    file.load()
    change(path, "oops")
    file.current()
    change(path, DESIGN)
    assert len(file.current()) == 3


def test_a_mistake_at_start_is_raised(path):
    path.write_text("oops")
    with pytest.raises(AccountsFileError):
        AccountsFile(path).load()


def test_a_file_that_nobody_named_may_come_later(path, lines):
    file = AccountsFile(path, may_be_missing=True)
    assert file.load() == ()
    assert file.current() == ()
    change(path, FOCUS)
    assert len(file.current()) == 1
    assert lines == ["INFO Accounts file read again"]


def test_a_file_that_was_named_must_be_there(path):
    with pytest.raises(AccountsFileError, match="does not exist"):
        AccountsFile(path).load()
