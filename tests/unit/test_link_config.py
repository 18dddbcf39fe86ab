import dataclasses

import pytest

from shared.core.errors import SettingsError
from shared.redis_link import LinkConfig
from shared.redis_link.endpoint import endpoint_of
from shared.settings import load_settings


def test_the_settings_and_the_link_have_the_same_defaults(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert LinkConfig.from_settings(load_settings()) == LinkConfig()


def test_every_setting_of_the_link_is_taken():
    values = {
        "redis_url": "redis://elsewhere:7000/3",
        "redis_namespace": "ns",
        "redis_startup_attempts": 7,
        "redis_retry_first_delay_s": 0.5,
        "redis_retry_multiplier": 3,
        "redis_retry_max_delay_s": 9,
        "redis_retry_jitter": 0.25,
        "redis_wake_interval_s": 0.1,
        "redis_beat_interval_s": 0.2,
        "redis_beat_timeout_s": 1,
        "redis_connect_timeout_s": 1.5,
        "redis_command_timeout_s": 2.5,
        "redis_max_connections": 11,
    }
    taken = dataclasses.astuple(LinkConfig.from_settings(load_settings(**values)))
    assert taken == tuple(values.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"startup_attempts": 0},
        {"max_connections": 0},
        {"wake_interval_s": -1},
        {"beat_interval_s": 0},
        {"command_timeout_s": -1},
        {"first_delay_s": 20},
        {"jitter": 2},
        {"url": "http://host"},
    ],
)
def test_a_configuration_that_makes_no_sense_cannot_be_built(wrong):
    with pytest.raises(ValueError, match=r"must|URL"):
        LinkConfig(**wrong)


@pytest.mark.parametrize(
    ("url", "kind", "host", "port", "path"),
    [
        ("redis://host:7000/1", "tcp", "host", 7000, ""),
        ("redis://", "tcp", "localhost", 6379, ""),
        ("rediss://host", "tls", "host", 6379, ""),
        ("unix:///run/redis.sock?db=2", "unix", "localhost", 6379, "/run/redis.sock"),
        ("redis://[::1]:6380/0", "tcp", "::1", 6380, ""),
    ],
)
def test_a_url_says_where_and_how(url, kind, host, port, path):
    endpoint = endpoint_of(url)
    assert (endpoint.kind, endpoint.host, endpoint.port, endpoint.path) == (kind, host, port, path)


@pytest.mark.parametrize(("host", "literal"), [("127.0.0.1", True), ("[::1]", True), ("localhost", False)])
def test_an_address_needs_no_resolving(host, literal):
    assert endpoint_of(f"redis://{host}:1/0").literal is literal


def test_options_that_would_bring_retries_or_text_back_are_overruled():
    endpoint = endpoint_of("redis://h/0?retry_on_timeout=yes&health_check_interval=5&decode_responses=1&protocol=2")
    assert set(endpoint.options) == {"host", "db", "protocol"}


@pytest.mark.parametrize(
    "url",
    [
        "redis://:half/of-a-secret@host:6379/0",
        "redis://:secret@host:6379/0?no_such_option=1",
        "redis://:secret@host:6379/0?db=secret",
    ],
)
def test_an_error_about_a_url_repeats_none_of_its_secrets(url):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at below
        endpoint_of(url)
    assert "secret" not in str(caught.value)
    assert "half" not in str(caught.value)


def test_an_option_that_is_not_known_is_a_mistake_in_the_settings():
    with pytest.raises(SettingsError) as caught:
        LinkConfig.from_settings(load_settings(redis_url="redis://host:6379/0?no_such_option=1"))
    assert caught.value.problems[0].startswith("REDIS_URL: ")


def test_no_credential_is_shown_by_the_configuration():
    config = LinkConfig(url="redis://bob:hunter2@host/0")
    assert "hunter2" not in repr(config) + repr(endpoint_of(config.url))
