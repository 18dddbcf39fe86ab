import socket
from pathlib import Path

import pytest

from holdfast_cli.devrun import Ports, base_port, choose_redis, port_is_free, require_free, welcome
from holdfast_cli.samples import prepare_dev
from shared.core.errors import SettingsError
from shared.costs.accounts_file import load_accounts
from shared.settings import DEFAULT_PORTS, load_settings


def test_the_ports_that_must_be_free_are_those_the_processes_will_use() -> None:
    settings = {name: load_settings(port=4000 + 100 * index) for index, name in enumerate(DEFAULT_PORTS)}
    used = {found.port_of(name) for name, found in settings.items()}
    used |= {found.probe_port_of(name) for name, found in settings.items()}
    assert set(Ports(4000).all()) == used


def test_moving_the_base_moves_every_port() -> None:
    assert set(Ports(5000).all()) == {port + 1000 for port in Ports(4000).all()}


@pytest.mark.parametrize(
    ("given", "dotenv", "expected"),
    [
        ({}, {}, 4000),
        ({"PORT": "5000"}, {}, 5000),
        ({"PORT": "5000"}, {"PORT": "6000"}, 6000),  # honcho lets .env win
        ({"PORT": ""}, {"PORT": None}, 4000),
    ],
)
def test_the_base_port_is_the_one_that_honcho_will_take(given, dotenv, expected) -> None:
    assert base_port(given, dotenv) == expected


@pytest.mark.parametrize("text", ["http", "0", "65500", "-1", "4000.5"])
def test_a_base_port_that_cannot_be_is_one_clear_line(text) -> None:
    with pytest.raises(SettingsError, match=r"^PORT: must be a port number up to 65135"):
        base_port({"PORT": text}, {})


def test_redis_takes_its_usual_port_when_that_is_free() -> None:
    environment: dict[str, str] = {}
    assert choose_redis(environment, {}, is_free=lambda _port: True) == "port 6379"
    assert environment == {}


def test_redis_goes_beside_one_that_is_there_and_says_so() -> None:
    environment: dict[str, str] = {}
    told = choose_redis(environment, {}, is_free=lambda port: port not in {6379, 6389})
    assert environment == {"REDIS_URL": "redis://localhost:6390/0"}
    assert "6379 is taken" in told
    assert "export REDIS_URL=redis://localhost:6390/0" in told


@pytest.mark.parametrize(
    ("environment", "dotenv"), [({"REDIS_URL": "redis://h"}, {}), ({}, {"REDIS_URL": "redis://h"})]
)
def test_a_redis_that_was_chosen_is_kept(environment, dotenv) -> None:
    before = dict(environment)
    choose_redis(environment, dotenv, is_free=lambda _port: False)
    assert environment == before


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not port_is_free(port)
        with pytest.raises(SettingsError, match=rf"Port {port} is taken, status_api needs it: .*make run PORT=5000"):
            require_free(Ports(port))
    assert port_is_free(port)


def test_the_welcome_says_where_to_look() -> None:
    text = welcome(5000, redis="port 6379", costs="the sample exports")
    assert "http://127.0.0.1:5000/api/v1/coverage" in text
    assert ".venv/bin/holdfast coverage" in text


def test_sample_exports_are_brought_up_to_date_and_an_accounts_file_written(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    accounts_file = tmp_path / "accounts.toml"
    assert prepare_dev(accounts_file)
    names = {account.name for account in load_accounts(accounts_file)}
    first = sorted(path.name for path in Path("var/exports").rglob("*.csv"))
    assert len(first) == 30 * len(names)
    Path("var/exports").joinpath(first[-1].rsplit("-", 3)[0], first[-1]).unlink()
    assert prepare_dev(accounts_file)
    assert sorted(path.name for path in Path("var/exports").rglob("*.csv")) == first


def test_whoever_has_accounts_of_their_own_gets_no_samples(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    accounts_file = tmp_path / "accounts.toml"
    accounts_file.write_text('[[account]]\nname = "mine"\nprovider = "focus"\npath = "bills/*.csv"\n')
    before = accounts_file.read_text()
    assert not prepare_dev(accounts_file)
    assert accounts_file.read_text() == before
    assert not Path("var").exists()
