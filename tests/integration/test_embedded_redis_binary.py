import os
from pathlib import Path

import pytest

from shared.core.errors import SettingsError
from shared.embedded_redis import binary as binary_module
from shared.embedded_redis.binary import find_binary, server_version

pytestmark = pytest.mark.integration


def program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def search_path(*folders: Path) -> str:
    return os.pathsep.join(map(str, folders))


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setattr(binary_module, "WHEEL", "a_wheel_nobody_has")


def test_the_operator_s_choice_comes_first(tmp_path):
    chosen = program(tmp_path / "mine", "my-redis")
    program(tmp_path / "bin", "redis-server")

    assert find_binary(chosen, search_path(tmp_path / "bin")) == chosen


def test_a_choice_that_cannot_be_run_is_named_and_nothing_else_is_taken(tmp_path):
    program(tmp_path / "bin", "redis-server")

    with pytest.raises(SettingsError, match=r"EMBEDDED_REDIS_BIN: .*absent is not a program"):
        find_binary(tmp_path / "absent", search_path(tmp_path / "bin"))


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_server_on_the_path_comes_before_the_wheel_s(tmp_path, name):
    found = program(tmp_path / "bin", name)

    assert find_binary(None, search_path(tmp_path / "bin")) == found


def test_a_copy_inside_the_virtual_environment_is_skipped(tmp_path):
    program(tmp_path / "venv" / "bin", "redis-server")
    found = program(tmp_path / "usr", "redis-server")

    path = search_path(tmp_path / "venv" / "bin", tmp_path / "usr")
    assert find_binary(None, path, environment=tmp_path / "venv") == found


def test_without_a_virtual_environment_the_system_s_own_is_taken(tmp_path):
    found = program(tmp_path / "usr" / "bin", "redis-server")

    assert find_binary(None, search_path(tmp_path / "usr" / "bin"), environment=None) == found


def test_the_wheel_s_is_taken_when_the_path_has_none_and_made_executable(tmp_path, monkeypatch):
    carried = program(tmp_path / "some_wheel" / "bin", "redis-server")
    carried.chmod(0o644)
    (tmp_path / "some_wheel" / "__init__.py").write_text("raise ImportError('it must not be imported')")
    monkeypatch.setattr(binary_module, "WHEEL", "some_wheel")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert find_binary(None, "") == carried
    assert os.access(carried, os.X_OK)


@pytest.mark.usefixtures("no_wheel")
def test_when_there_is_none_the_cure_is_told(tmp_path):
    with pytest.raises(SettingsError) as missing:
        find_binary(None, search_path(tmp_path))

    (line,) = missing.value.problems
    assert "no redis-server found" in line
    assert "install redis-server" in line
    assert "EMBEDDED_REDIS_BIN" in line


def test_a_version_is_one_short_line(tmp_path):
    server = program(tmp_path, "redis-server", "#!/bin/sh\necho 'Redis server v=7.0.15 sha=00000000:0 malloc=libc'\n")

    assert server_version(server) == "Redis server v=7.0.15"


def test_a_program_that_cannot_run_here_is_told_with_the_cure(tmp_path):
    broken = program(tmp_path, "redis-server", "#!/absent/interpreter\n")

    with pytest.raises(SettingsError, match=r"cannot be run \(FileNotFoundError\)"):
        server_version(broken)
