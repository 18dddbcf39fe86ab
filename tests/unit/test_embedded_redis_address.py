from pathlib import Path

import pytest

from shared.core.errors import SettingsError
from shared.embedded_redis.address import ServerAddress, is_loopback


@pytest.mark.parametrize(
    ("url", "host", "port", "username", "password", "databases"),
    [
        ("redis://localhost:6379/0", "localhost", 6379, None, None, 16),
        ("redis://localhost", "localhost", 6379, None, None, 16),
        ("redis://127.0.0.1:7001/3", "127.0.0.1", 7001, None, None, 16),
        ("redis://[::1]:7001", "::1", 7001, None, None, 16),
        ("redis://:se%20cret@localhost:7001/40", "localhost", 7001, None, "se cret", 41),
        ("redis://app:pw@localhost", "localhost", 6379, "app", "pw", 16),
        ("redis://localhost?password=pw&username=app&db=20", "localhost", 6379, "app", "pw", 21),
    ],
)
def test_the_server_listens_where_redis_url_points(url, host, port, username, password, databases):
    found = ServerAddress.from_url(url)

    assert (found.host, found.port, found.socket) == (host, port, None)
    assert (found.username, found.password, found.databases) == (username, password, databases)


def test_a_unix_url_makes_a_socket_and_no_port():
    found = ServerAddress.from_url("unix://:pw@/run/holdfast/redis.sock?db=2")

    assert (found.host, found.port, found.socket) == ("", 0, Path("/run/holdfast/redis.sock"))
    assert found.password == "pw"
    assert str(found) == "unix socket /run/holdfast/redis.sock"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rediss://localhost:6379", "TLS"),
        ("redis://cache.example.com:6379", "'cache.example.com' is not this machine's loopback"),
        ("redis://10.0.0.5", "'10.0.0.5' is not this machine's loopback"),
    ],
)
def test_what_a_server_here_cannot_be_is_refused_with_the_cure(url, words):
    with pytest.raises(SettingsError) as refused:
        ServerAddress.from_url(url)

    (line,) = refused.value.problems
    assert words in line
    assert "Procfile" in line


def test_a_password_shows_neither_in_the_address_nor_in_its_representation():
    address = ServerAddress.from_url("redis://app:s3cr3t@localhost")

    assert "s3cr3t" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("redis", False),
        ("192.168.0.2", False),
    ],
)
def test_only_loopback_counts_as_this_machine(host, expected):
    assert is_loopback(host) is expected
