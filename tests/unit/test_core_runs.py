import pytest

from shared.core.runs import OPEN_STATES, PRIORITY, RetryPolicy, RunKind, RunState


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 60), (2, 300), (3, 900), (4, 3600), (9, 3600)])
def test_the_last_delay_repeats(failures, delay_s):
    assert RetryPolicy().delay_s(failures) == delay_s


@pytest.mark.parametrize(("failures", "spent"), [(1, False), (4, False), (5, True), (6, True)])
def test_a_run_is_given_up_after_five_failures(failures, spent):
    assert RetryPolicy().spent(failures) is spent


@pytest.mark.parametrize("delays_s", [(), (1.0, -1.0)])
def test_a_policy_without_delays_or_with_a_negative_one_cannot_be_built(delays_s):
    with pytest.raises(ValueError, match=r"^delays_s needs at least one delay, none of them negative$"):
        RetryPolicy(delays_s=delays_s)


def test_a_delay_may_be_none_at_all():
    assert RetryPolicy(delays_s=(0.0, 0.5)).delay_s(1) == 0


def test_a_person_waits_less_than_a_schedule_and_a_backfill_most():
    assert sorted(RunKind, key=PRIORITY.__getitem__) == [
        RunKind.MANUAL,
        RunKind.SCHEDULED,
        RunKind.CATCHUP,
        RunKind.BACKFILL,
    ]


def test_ended_states_are_not_open():
    assert OPEN_STATES.isdisjoint({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
