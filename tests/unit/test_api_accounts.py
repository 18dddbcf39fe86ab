"""GET /api/v1/accounts."""

from tests.support.api import make_api


def test_each_account_is_told_with_its_credentials_and_how_far_its_costs_reach():
    answer = make_api().get("/api/v1/accounts")
    assert answer.status_code == 200
    one, two = answer.json["accounts"]
    assert one == {
        "account": "one",
        "provider": "aws",
        "paused": False,
        "held": False,
        "removed": False,
        "credentials": {
            "status": "down",
            "code": "AWS_EXPIRED",
            "summary": "The session has expired",
            "hint": "Renew it",
            "since": "2026-03-10T12:30:15.123Z",
            "checkedAt": "2026-03-10T12:30:15.123Z",
        },
        "lastCompleteDay": "2026-03-09",
    }
    assert (two["credentials"], two["lastCompleteDay"]) == (None, None)


def test_it_takes_no_parameters():
    assert make_api().get("/api/v1/accounts?account=one").status_code == 400
