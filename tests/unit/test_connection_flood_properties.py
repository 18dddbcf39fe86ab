"""However Redis comes and goes, an outage costs no more lines than the design allows, and no memory."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.core.codes import CODES, Code, ErrorClass
from shared.core.connection import Policy
from shared.core.connection_types import TRANSITIONS_KEPT
from shared.observability.flood import Kind
from tests.support.link_life import LinkLife, Phase

FIRST_MINUTE, LATER_MINUTE = 12, 6
# A refusal is met every 15 s at most, and that the link is unstable is said once a minute.
PRESSING_MOST = 5
# What can befall a link: not what only says that it has not been started.
FAULTS = [code for code in Code if CODES[code].error_class is not ErrorClass.LOCAL]
OUTAGES = st.builds(Phase, st.sampled_from(FAULTS), st.integers(1, 300))
CALMS = st.builds(Phase, st.none(), st.integers(1, 300))
LIVES = st.lists(st.tuples(OUTAGES, CALMS), min_size=1, max_size=12)
POLICIES = st.builds(Policy, startup_attempts=st.sampled_from([1, 3, 20]))


def lived(policy: Policy, pairs: list[tuple[Phase, Phase]], noise: int) -> LinkLife:
    life = LinkLife(policy, [Phase(None, 4), *(phase for pair in pairs for phase in pair)], noise)
    life.live()
    return life


def check(life: LinkLife) -> None:
    """Only what tells a person to act may come on top; one line of that kind has a place of its own."""
    for minute, kinds in life.minutes():
        pressing = kinds.count(Kind.PRESSING)
        assert len(kinds) - max(0, pressing - 1) <= (LATER_MINUTE if minute else FIRST_MINUTE)
        assert pressing <= PRESSING_MOST


def flapping(down_ticks: int, up_ticks: int) -> list[tuple[Phase, Phase]]:
    """Ten minutes of it."""
    return [(Phase(Code.CONNECTION_CLOSED, down_ticks), Phase(None, up_ticks))] * (2400 // (down_ticks + up_ticks))


@settings(max_examples=50, deadline=None)
@given(policy=POLICIES, pairs=LIVES, noise=st.integers(0, 3))
@example(policy=Policy(), pairs=flapping(4, 24), noise=2)
def test_no_minute_of_an_outage_has_more_lines_than_the_design_allows(policy, pairs, noise):
    check(lived(policy, pairs, noise))


@pytest.mark.parametrize("up_ticks", [1, 4, 16, 24, 40, 120])
@pytest.mark.parametrize("down_ticks", [1, 4, 40])
def test_a_link_that_flaps_at_any_pace_stays_within_the_limit_too(down_ticks, up_ticks):
    check(lived(Policy(), flapping(down_ticks, up_ticks), noise=2))


@pytest.mark.parametrize("code", FAULTS)
def test_an_outage_of_any_cause_that_lasts_ten_minutes_stays_within_the_limit(code):
    check(lived(Policy(), [(Phase(code, 2400), Phase(None, 400))], noise=2))


@pytest.mark.parametrize("up_ticks", [1, 2, 8])
def test_what_a_link_remembers_has_an_upper_bound_however_it_flaps(up_ticks):
    life = lived(Policy(), flapping(1, up_ticks), noise=0)
    # The pauses before attempt 0 grow: no more than this many losses fit into a minute.
    assert 4 <= life.most_losses <= 60
    assert len(life.memory.transitions) <= TRANSITIONS_KEPT
    assert len(life.control._tally.prelude) <= FIRST_MINUTE
