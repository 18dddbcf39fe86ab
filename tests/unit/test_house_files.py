"""The files around the code: what the Makefile, the Procfiles, the image and the compose file promise."""

import os
import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.core.version import VERSION
from shared.settings import DEFAULT_PORTS, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = ["status_api", "scheduler", "worker"]
KNOWN = {name.upper() for name in Settings.model_fields}


def read(name: str) -> str:
    return (ROOT / name).read_text()


def procfile(name: str) -> dict[str, str]:
    lines = [line for line in read(name).splitlines() if line and not line.startswith("#")]
    return {process: command.strip() for process, command in (line.split(":", 1) for line in lines)}


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(read("docker-compose.yml"))
    return document


# Makefile


def test_make_without_a_target_explains_every_target() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True).stdout
    targets = re.findall(r"^\.PHONY: (.*)$", read("Makefile"), flags=re.MULTILINE)[0].split()
    assert targets[0] == "help"
    assert [target for target in targets if f"make {target} " not in shown] == []


def test_the_makefile_installs_only_what_has_a_hash() -> None:
    installs = [line.strip() for line in read("Makefile").splitlines() if "$(PIP) install" in line]
    assert len(installs) == 2
    assert "--no-deps --require-hashes" in installs[0]
    assert "--no-deps --no-build-isolation" in installs[1]


def test_make_test_checks_first_then_runs_every_test_and_holds_the_core_to_full_coverage() -> None:
    recipe = read("Makefile").split("\ntest: ", 1)[1].split("\n\n", 1)[0]
    assert recipe.startswith("check ")
    markers = re.findall(r'pytest .*-m ("[^"]+"|\S+)', recipe)
    # Together they are every test, and none twice.
    assert markers == ['"not integration and not e2e"', '"integration and not e2e"', "e2e"]
    assert "--cov=shared/core" in recipe
    assert "--fail-under=100" in recipe


def test_ci_run_is_a_strict_program_that_runs_make_test() -> None:
    path = ROOT / ".ci/run"
    text = path.read_text()
    assert path.stat().st_mode & stat.S_IXUSR
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "exec </dev/null" in text
    assert "CI=true" in text
    assert re.search(r"^make test ", text, flags=re.MULTILINE)


# Procfiles


def test_the_procfile_starts_the_three_processes_in_the_order_their_ports_follow_from() -> None:
    assert list(procfile("Procfile")) == PROCESSES
    assert list(DEFAULT_PORTS) == PROCESSES
    assert [DEFAULT_PORTS[name] for name in DEFAULT_PORTS] == [4000, 4100, 4200]


def test_the_development_procfile_adds_redis_and_nothing_else() -> None:
    development = procfile("Procfile.dev")
    assert list(development) == [*PROCESSES, "redis"]
    assert {name: development[name] for name in PROCESSES} == procfile("Procfile")


@pytest.mark.parametrize("name", ["Procfile", "Procfile.dev"])
def test_every_line_of_a_procfile_replaces_its_shell(name: str) -> None:
    assert [command for command in procfile(name).values() if not command.startswith("exec python -m ")] == []


# Compose and image


def test_compose_runs_the_processes_with_their_procfile_commands() -> None:
    services = compose()["services"]
    for name, command in procfile("Procfile").items():
        assert ["exec", *services[name]["command"]] == command.split()


def test_compose_sets_only_variables_that_are_settings() -> None:
    services = compose()["services"]
    unknown = {
        (name, variable) for name in PROCESSES for variable in services[name]["environment"] if variable not in KNOWN
    }
    assert unknown == set()


def test_the_values_that_compose_sets_are_accepted() -> None:
    for name in PROCESSES:
        given = compose()["services"][name]["environment"]
        filled = {
            key.lower(): re.sub(
                r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "long-enough", value)
            )
            for key, value in given.items()
        }
        settings = load_settings(**filled)
        assert settings.app_env == "production"
        assert settings.host == "0.0.0.0"


def test_no_process_waits_for_redis_to_be_healthy() -> None:
    for name in PROCESSES:
        waits = compose()["services"][name].get("depends_on", {})
        assert "redis" not in waits


def test_every_service_of_compose_has_a_health_check() -> None:
    assert [name for name, service in compose()["services"].items() if "healthcheck" not in service] == []


def test_health_checks_ask_each_process_where_it_answers() -> None:
    for name in PROCESSES:
        service = compose()["services"][name]
        settings = load_settings(port=int(service["environment"]["PORT"]))
        probe = settings.probe_port_of(name)  # type: ignore[arg-type] # the three names are Process
        assert f"http://127.0.0.1:{probe}/health/live" in service["healthcheck"]["test"][-1]


def test_only_the_api_is_published_and_on_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in compose()["services"].items() if "ports" in service}
    assert published == {"status_api": ["127.0.0.1:4000:4000"]}


def test_a_stopped_container_has_longer_than_the_grace_of_its_process() -> None:
    for name in PROCESSES:
        service = compose()["services"][name]
        grace_s = float(service["environment"]["SHUTDOWN_GRACE_S"])
        assert float(service["stop_grace_period"].removesuffix("s")) > grace_s + 5


def test_redis_in_compose_never_evicts_a_queue() -> None:
    assert "noeviction" in compose()["services"]["redis"]["command"]


def test_the_image_checks_hashes_listens_outside_and_is_not_root() -> None:
    lines = read("Dockerfile").replace("\\\n", " ").splitlines()
    assert any("--no-deps --require-hashes -r /tmp/requirements.txt" in line for line in lines)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001"]
    assert lines.index("USER 10001") < next(index for index, line in enumerate(lines) if line.startswith("CMD"))
    assert "HOST=0.0.0.0" in read("Dockerfile")


def test_the_image_holds_every_package_and_its_context_sends_nothing_else() -> None:
    packages = set(
        re.findall(r'"(\w+)\*"', read("pyproject.toml").split("[tool.setuptools]", 1)[1].split("\n\n", 1)[0])
    )
    copied = {line.split()[1] for line in read("Dockerfile").splitlines() if re.match(r"COPY \w+ ", line)}
    allowed = {line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")}
    assert copied == packages
    assert allowed == packages | {"requirements.txt"}


# Hooks, version


def test_hooks_are_local_and_run_the_locked_tools() -> None:
    repositories = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in hooks)
    assert {hook["entry"].split()[0].rsplit("/", 1)[1] for hook in hooks} == {"ruff", "mypy", "lint-imports"}


def test_the_release_has_one_version() -> None:
    assert tomllib.loads(read("pyproject.toml"))["project"]["version"] == VERSION
    assert VERSION in read("CHANGELOG.md")


# What must never be committed


def tracked_files() -> list[Path]:
    """What git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


# Written in pieces, so that this file is no finding of its own.
FOREIGN = {
    "a path of some machine": re.compile(
        "(?<![A-Za-z0-9_.$}])/(?:" + "|".join(["ho" + "me/", "wo" + "rk/", "ro" + "ot/", "Us" + "ers/"]) + ")"
    ),
    "a host that serves packages": re.compile(
        "|".join(["py" + r"pi\.", "files.python" + "hosted", "--index" + "-url h", "proxy.go" + "lang"])
    ),
    "a word that does not belong here": re.compile("|".join(["DESIGN" + r"\.md", "the iss" + "ue says"])),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_no_tracked_file_holds(kind: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if FOREIGN[kind].search(line)
    ]
    assert found == []


# README


def test_every_file_that_a_document_links_to_exists() -> None:
    links = [
        (document, target)
        for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    ]
    assert links
    assert [link for link in links if not (link[0].parent / link[1]).exists()] == []


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        named = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", document.read_text(), flags=re.MULTILINE))
        assert {first or second for first, second in named} <= targets, document


@pytest.mark.parametrize(("stamp_age_s", "installs"), [(-60, False), (60, True)])
def test_setup_installs_only_what_has_changed(tmp_path: Path, stamp_age_s: int, *, installs: bool) -> None:
    stamp = tmp_path / "stamp"
    stamp.touch()
    newest = max((ROOT / name).stat().st_mtime for name in ("requirements-dev.txt", "pyproject.toml"))
    os.utime(stamp, (newest - stamp_age_s, newest - stamp_age_s))
    planned = subprocess.run(
        ["make", "--dry-run", "setup", f"STAMP={stamp}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    assert ("pip" in planned) is installs
