"""The functions of the default link before there is one, and while it is not started. Nothing here opens a socket."""

import pytest

from shared import redis_link
from shared.core.errors import RedisUnavailableError, SettingsError


@pytest.fixture(autouse=True)
def no_default(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    redis_link.set_default_link(None)
    yield
    redis_link.set_default_link(None)


def test_asking_before_there_is_a_link_says_that_it_is_not_started():
    assert not redis_link.is_redis_available()
    assert redis_link.get_redis_safe() is None
    health = redis_link.get_redis_health_status()
    assert (health.status, health.is_open, health.details.uptime) == ("disconnected", False, None)


@pytest.mark.parametrize(
    "call",
    [
        redis_link.get_redis,
        lambda: redis_link.set_redis_value("k", "v"),
        lambda: redis_link.get_redis_value("k"),
        lambda: redis_link.delete_redis_value("k"),
        lambda: redis_link.redis_key_exists("k"),
        lambda: redis_link.get_redis_key_ttl("k"),
    ],
)
@pytest.mark.parametrize("built", [False, True])
def test_using_redis_before_init_raises_our_error(call, built):
    if built:
        redis_link.default_link()
    with pytest.raises(RedisUnavailableError) as caught:
        call()
    assert (caught.value.code, caught.value.sent) == ("NOT_STARTED", False)


def test_closing_before_init_and_twice_is_no_error():
    redis_link.close_redis()
    redis_link.default_link()
    redis_link.close_redis()
    redis_link.close_redis()


def test_the_link_is_built_once_from_the_environment(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:7000/3")
    monkeypatch.setenv("REDIS_NAMESPACE", "ns")
    link = redis_link.default_link()
    assert (link.config.url, link.config.namespace) == ("redis://elsewhere:7000/3", "ns")
    assert redis_link.default_link() is link


def test_a_wrong_environment_is_told_as_a_settings_error(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://host:6379/0?no_such_option=1")
    with pytest.raises(SettingsError):
        redis_link.init_redis()


def test_callbacks_may_come_and_go_before_init():
    redis_link.off_connection_state_change(print)
    redis_link.on_connection_state_change(print)
    redis_link.off_connection_state_change(print)


def test_a_time_to_live_below_a_second_is_a_mistake():
    with pytest.raises(ValueError, match="at least one second"):
        redis_link.default_link().set_value("k", "v", 0)


def test_a_link_that_is_not_started_has_no_supervisor_to_miss():
    assert redis_link.default_link().supervisor_alive(0)
