"""The lock files hold what pyproject.toml asks for, under the same conditions, every pin with its hashes."""

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text()


def locked(name: str) -> dict[str, str]:
    """Each requirement of a lock with its marker ("" when it has none)."""
    lines = [line.rstrip(" \\") for line in read(name).splitlines() if re.match(r"[A-Za-z0-9]", line)]
    found = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        found[canonical(requirement.split("==")[0])] = marker.strip()
    return found


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.partition("[")[0].strip()).lower()


def declared(entries: list[str]) -> dict[str, str]:
    found = {}
    for entry in entries:
        requirement, _, marker = entry.partition(";")
        found[canonical(re.split(r"[<>=!~ ]", requirement)[0])] = marker.strip()
    return found


def conditions(marker: str) -> set[str]:
    """A marker's conditions, whatever their order and quotes."""
    return {re.sub(r"\s+", "", part).replace('"', "'") for part in marker.split(" and ") if part}


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return found


@pytest.mark.parametrize(("lock", "extras"), [("requirements.txt", []), ("requirements-dev.txt", ["dev"])])
def test_a_lock_holds_every_requirement_with_its_condition(lock: str, extras: list[str]) -> None:
    wanted = declared(project()["dependencies"])
    for extra in extras:
        wanted |= declared(project()["optional-dependencies"][extra])
    pinned = locked(lock)
    assert set(wanted) - set(pinned) == set()
    for name, marker in wanted.items():
        known = {condition.replace("python_full_version", "python_version") for condition in conditions(pinned[name])}
        assert conditions(marker) == known, name


def test_both_locks_pin_the_same_versions() -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==(\S+)", read(name), flags=re.MULTILINE))
        for name in ("requirements.txt", "requirements-dev.txt")
    ]
    assert {name: version for name, version in pins[1].items() if name in pins[0]} == pins[0]


def test_a_lock_pins_the_extras_that_packages_ask_for() -> None:
    # pip before 23.3 takes `name[extra]` for another package than `name`, finds no pin for it and installs the newest.
    text = read("requirements-dev.txt")
    asked = {
        (canonical(wanted.group(1)), extra.strip())
        for name in locked("requirements-dev.txt")
        for requirement in requirements_of(name)
        if (wanted := re.match(r"([\w.-]+)\s*\[([^\]]+)\]", requirement)) and "extra ==" not in requirement
        for extra in wanted.group(2).split(",")
    }
    assert ("coverage", "toml") in asked
    assert [(name, extra) for name, extra in asked if f"\n{name}[{extra}]==" not in text] == []


def requirements_of(name: str) -> list[str]:
    """What a package asks for; nothing when this platform goes without the package."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", read(lock))
    assert [
        entry.split()[0] for entry in entries if "==" in entry.split("\n")[0] and "--hash=sha256:" not in entry
    ] == []
