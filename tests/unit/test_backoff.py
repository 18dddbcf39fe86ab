import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.backoff import Backoff, delay_s, spread_s


def test_the_default_waits_are_1_2_4_8_15_15_seconds():
    assert [delay_s(Backoff(), retry) for retry in range(1, 8)] == [1, 2, 4, 8, 15, 15, 15]


def test_nineteen_default_waits_add_up_to_four_minutes():
    assert sum(delay_s(Backoff(), retry) for retry in range(1, 20)) == 240


@pytest.mark.parametrize(
    ("first_s", "multiplier", "cap_s", "jitter", "words"),
    [
        (0, 2, 15, 0, "first_s must be positive and not above cap_s"),
        (-1, 2, 15, 0, "first_s must be positive and not above cap_s"),
        (16, 2, 15, 0, "first_s must be positive and not above cap_s"),
        (1, 0.5, 15, 0, "multiplier must be at least 1"),
        (1, 2, 15, -0.1, "jitter must lie between 0 and 1"),
        (1, 2, 15, 1.1, "jitter must lie between 0 and 1"),
    ],
)
def test_delays_that_make_no_sense_cannot_be_built(first_s, multiplier, cap_s, jitter, words):
    with pytest.raises(ValueError, match=f"^{words}$"):
        Backoff(first_s, multiplier, cap_s, jitter)


def test_chance_takes_nothing_off_unless_it_is_drawn():
    assert delay_s(Backoff(jitter=0.5), 1) == 1


@given(
    retry=st.integers(1, 10**9),
    first_s=st.floats(0.001, 100),
    multiplier=st.floats(1, 10),
    more_s=st.floats(0, 1000),
    jitter=st.floats(0, 1),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_delay_never_exceeds_its_cap_and_jitter_only_shortens(retry, first_s, multiplier, more_s, jitter, chance):
    policy = Backoff(first_s, multiplier, first_s + more_s, jitter)
    whole = delay_s(Backoff(first_s, multiplier, first_s + more_s), retry)
    assert whole * (1 - jitter) - 1e-9 <= delay_s(policy, retry, chance) <= whole <= policy.cap_s


@given(retry=st.integers(1, 100))
def test_delays_never_shrink_from_one_retry_to_the_next(retry):
    assert delay_s(Backoff(), retry) <= delay_s(Backoff(), retry + 1)


def test_an_interval_is_spread_by_a_fifth_both_ways():
    assert spread_s(10, 0) == 8
    assert spread_s(10, 0.5) == 10
    assert spread_s(10, 1) == 12
