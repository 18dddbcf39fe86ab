"""The soak in short: a fixed seed, ten random kills. `make soak` is the long form."""

import pytest

from tests.support.soak import KILLS, Deed, Soak, story

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

SEED = 20
KILLED = 10


def test_a_seed_tells_the_same_story_every_time():
    assert story(SEED, 50) == story(SEED, 50) != story(SEED + 1, 50)
    deeds = [step.deed for step in story(SEED, 200)]
    assert set(deeds) == set(Deed)
    assert sum(deed in KILLS for deed in deeds) == 200


@pytest.mark.timeout(300)
def test_ten_random_kills_and_what_redis_does_meanwhile_lose_nothing_and_double_nothing(tmp_path, sqlite_url):
    assert Soak(tmp_path, sqlite_url, seed=SEED, kills=KILLED, copies=1).run() == []
