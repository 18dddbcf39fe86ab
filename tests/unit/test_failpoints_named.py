"""Failpoints: each has one place in the code and a line in docs/failpoints.md, and none is there unless switched on."""

import re
from pathlib import Path

import pytest

from shared.observability import failpoints
from shared.observability.failpoints import ALL, FOLDER_VARIABLE, POINTS_VARIABLE, Point, Write

ROOT = Path(__file__).resolve().parents[2]
CODE = "\n".join(
    path.read_text()
    for package in ("shared", "workers", "scheduler", "status_api", "holdfast_cli")
    for path in sorted((ROOT / package).rglob("*.py"))
)
STORE = "store.after_commit"


def armed(folder: Path, points: str):
    """What the code would call, and the list of its deaths."""
    deaths: list[str] = []
    at = failpoints.switched_on({POINTS_VARIABLE: points, FOLDER_VARIABLE: str(folder)}, lambda: deaths.append("died"))
    assert at is not None
    return at, deaths


def test_without_the_variable_there_is_nothing_to_call() -> None:
    assert failpoints.switched_on({}, lambda: None) is None
    assert failpoints.reached is failpoints._pass_by


def test_the_process_dies_at_the_passing_that_is_asked_for_and_leaves_a_mark(tmp_path) -> None:
    at, deaths = armed(tmp_path, f"{STORE}:3,send.before")
    at(STORE)
    at(STORE)
    at("claim.after_commit")
    assert (deaths, list(tmp_path.iterdir())) == ([], [])
    at(STORE)
    assert (deaths, [mark.name for mark in tmp_path.iterdir()]) == (["died"], [STORE])


def test_nobody_dies_of_a_point_twice(tmp_path) -> None:
    armed(tmp_path, STORE)[0](STORE)
    at, deaths = armed(tmp_path, STORE)
    at(STORE)
    assert deaths == []


def test_a_point_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"there is no point 'store\.commit'"):
        armed(tmp_path, "store.commit")


@pytest.mark.parametrize("write", Write)
def test_every_named_transaction_stands_in_the_code_once(write) -> None:
    assert len(re.findall(rf"\.write\(Write\.{write.name}\)", CODE)) == 1


@pytest.mark.parametrize("point", Point)
def test_every_other_point_stands_in_the_code_once(point) -> None:
    assert len(re.findall(rf"reached\(Point\.{point.name}\)", CODE)) == 1


def test_every_transaction_of_the_ledger_that_may_write_is_named() -> None:
    unnamed = [
        path.name
        for path in sorted((ROOT / "shared/ledger").glob("*.py"))
        if re.search(r"\bdb\.write\(\)", path.read_text())
    ]
    assert unnamed == []


def test_the_document_lists_every_point() -> None:
    text = (ROOT / "docs/failpoints.md").read_text().split("\n## Every point\n", 1)[1].split("\n## ", 1)[0]
    names = [line.split("|")[1].strip().strip("`") for line in text.splitlines() if line.startswith("| `")]
    commits = {name for write in Write for name in (failpoints.before_commit(write), failpoints.after_commit(write))}
    documented = {
        point
        for name in names
        for point in ([name] if name in set(Point) else [f"{name}.before_commit", f"{name}.after_commit"])
    }
    assert len(names) == len(set(names))
    assert documented == set(Point) | commits == ALL
