from pathlib import Path

import pytest

from shared.embedded_redis.address import ServerAddress
from shared.embedded_redis.config import Ending, config_text, ending
from shared.embedded_redis.keeper import restart_delay_s


def lines_for(url: str, bind: tuple[str, ...] = ("127.0.0.1",), folder: str = "/tmp/data") -> list[str]:
    return config_text(ServerAddress.from_url(url), folder=Path(folder), bind=bind).splitlines()


def test_the_memory_is_an_append_only_file_in_the_folder():
    lines = lines_for("redis://localhost:7001")

    assert {"dir /tmp/data", "appendonly yes", 'save ""', "port 7001", "daemonize no"} <= set(lines)


def test_full_memory_refuses_jobs_rather_than_dropping_them():
    assert "maxmemory-policy noeviction" in lines_for("redis://localhost")


def test_it_listens_on_what_can_be_bound():
    assert "bind 127.0.0.1 ::1" in lines_for("redis://localhost", bind=("127.0.0.1", "::1"))


def test_a_unix_socket_takes_the_place_of_the_port():
    lines = lines_for("unix:///run/r.sock", bind=())

    assert {"unixsocket /run/r.sock", "port 0"} <= set(lines)
    assert not any(line.startswith("bind") for line in lines)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:plain@localhost", "requirepass plain"),
        ("redis://default:plain@localhost", "requirepass plain"),
        ("redis://:a%22b@localhost", r'requirepass "\x61\x22\x62"'),
        ("redis://:%0a@localhost", r'requirepass "\x0a"'),
        ("redis://:%C3%A9@localhost", r'requirepass "\xc3\xa9"'),
    ],
)
def test_a_password_is_quoted_so_that_nothing_in_it_is_read_as_configuration(url, expected):
    assert expected in lines_for(url)


def test_a_named_user_is_the_only_one():
    lines = lines_for("redis://app:pw@localhost")

    assert "user default off" in lines
    assert any(line.startswith("user app on ") for line in lines)


def test_a_folder_with_spaces_is_quoted():
    assert r'dir "\x2f\x6d\x79\x20\x64"' in lines_for("redis://localhost", folder="/my d")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["# Warning: Could not create server TCP listening socket *:1: bind: Address already in use"],
            Ending.PORT_TAKEN,
        ),
        (["# Can't handle RDB format version 99", "# ... AOF loading aborted"], Ending.DATA_UNREADABLE),
        (["# Bad file format reading the append only file appendonly.aof.1.incr.aof: make a"], Ending.DATA_UNREADABLE),
        (["*** FATAL AOF MANIFEST FILE ERROR ***", "# Invalid AOF manifest file format"], Ending.DATA_UNREADABLE),
        (["* Ready to accept connections"], Ending.OTHER),
        ([], Ending.OTHER),
    ],
)
def test_a_server_s_last_words_tell_why_it_ended(words, expected):
    assert ending(words) is expected


def test_restarts_wait_longer_with_each_death_in_a_row_up_to_a_cap():
    assert [restart_delay_s(deaths) for deaths in (1, 2, 3, 4, 5, 6, 1000)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
