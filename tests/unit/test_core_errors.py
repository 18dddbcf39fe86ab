"""Every error carries its facts as attributes and says them in words."""

import inspect

import pytest
import redis

from shared.core import errors
from shared.core.errors import HoldfastError

TABLE = [
    (
        lambda: errors.SettingsError(problems=["A: wrong", "B: worse"]),
        "A: wrong; B: worse",
        {"problems": ("A: wrong", "B: worse")},
    ),
    (lambda: errors.AccountsFileError(problems=["a", "b"]), "a; b", {"problems": ("a", "b")}),
    (
        lambda: errors.RedisUnavailableError(summary="Nothing listens", code="CONNECTION_REFUSED"),
        "Nothing listens",
        {"summary": "Nothing listens", "code": "CONNECTION_REFUSED", "retry_in_s": None, "sent": False},
    ),
    (
        lambda: errors.RedisUnavailableError(summary="It hangs", code="TIMEOUT", retry_in_s=1.5, sent=True),
        "It hangs",
        {"summary": "It hangs", "code": "TIMEOUT", "retry_in_s": 1.5, "sent": True},
    ),
    (lambda: errors.DatabaseUnavailableError(summary="away"), "away", {"summary": "away", "uncertain": False}),
    (
        lambda: errors.DatabaseUnavailableError(summary="away", uncertain=True),
        "away",
        {"summary": "away", "uncertain": True},
    ),
    (
        lambda: errors.SchemaTooNewError(found="0009", known="0002"),
        (
            "The database schema is at revision 0009, this release knows up to 0002: start the newer release again, "
            "or restore the database's backup of this one"
        ),
        {"found": "0009", "known": "0002"},
    ),
    (lambda: errors.SendRefusedError(summary="full"), "full", {"summary": "full", "sent": 0}),
    (lambda: errors.SendRefusedError(summary="full", sent=3), "full", {"summary": "full", "sent": 3}),
    (lambda: errors.SendUncertainError(summary="late"), "late", {"summary": "late", "sent": 0, "uncertain": 1}),
    (
        lambda: errors.SendUncertainError(summary="late", sent=3, uncertain=2),
        "late",
        {"summary": "late", "sent": 3, "uncertain": 2},
    ),
    (
        lambda: errors.ProviderError(code="AWS_DENIED", summary="May not", hint="Allow it"),
        "May not",
        {
            "code": "AWS_DENIED",
            "summary": "May not",
            "hint": "Allow it",
            "permanent": False,
            "retry_after_s": None,
            "throttled": False,
        },
    ),
    (
        lambda: errors.ProviderError(code="X", summary="May not", hint="Y", permanent=True, retry_after_s=2.5),
        "May not",
        {"permanent": True, "retry_after_s": 2.5},
    ),
    (
        lambda: errors.ProviderError(code="X", summary="Later", hint="Y", throttled=True),
        "Later",
        {"permanent": False, "throttled": True},
    ),
    (
        lambda: errors.ExportError(summary="The disk is full", hint="Make room"),
        "The disk is full. Make room",
        {"summary": "The disk is full", "hint": "Make room", "code": "EXPORT_FAILED"},
    ),
    (
        lambda: errors.RequestError(field="limit", problem="is not a number", allowed="1 to 500"),
        "limit: is not a number; 1 to 500",
        {"field": "limit", "problem": "is not a number", "allowed": "1 to 500"},
    ),
    (lambda: errors.UnknownAccountError(account="nobody"), "No account named 'nobody'", {"account": "nobody"}),
    (lambda: errors.UnknownRunError(run_id="7"), "No run with id '7'", {"run_id": "7"}),
    (
        lambda: errors.RunFinishedError(run_id=7, state="failed"),
        "Run 7 is failed already",
        {"run_id": 7, "state": "failed"},
    ),
    (
        lambda: errors.IdempotencyConflictError(key="k", account="one"),
        "Idempotency-Key 'k' was used for another request of account 'one'",
        {"key": "k", "account": "one"},
    ),
]


@pytest.mark.parametrize(("make", "words", "facts"), TABLE)
def test_an_error_says_what_it_knows(make, words, facts):
    error = make()
    assert str(error) == words
    assert {name: getattr(error, name) for name in facts} == facts
    assert isinstance(error, HoldfastError)


def test_the_table_has_every_error_of_the_tree():
    tree = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, HoldfastError)}
    assert {type(make()) for make, _, _ in TABLE} == tree - {HoldfastError}


def test_whoever_handles_redis_py_s_own_error_handles_ours():
    assert issubclass(errors.RedisUnavailableError, redis.ConnectionError)
