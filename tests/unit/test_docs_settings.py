"""docs/operations.md names every setting with its default, and no other; what else names settings knows them."""

import re
from pathlib import Path
from typing import Any

from shared.settings import SECRET, Settings

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
NOT_SET = "not set"


def section(title: str) -> str:
    """The text below a heading of the second level."""
    return OPERATIONS.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def table(title: str) -> list[list[str]]:
    """The cells of the section's first table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def as_documented(value: Any) -> str:
    """A default as the environment would spell it."""
    if value is None:
        return NOT_SET
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_table_holds_every_setting_and_no_other() -> None:
    documented = [name.strip("`") for name, *_ in table("Settings")]
    assert sorted(documented) == sorted(name.upper() for name in Settings.model_fields)


def test_the_table_states_the_defaults_of_the_code() -> None:
    documented = {name.strip("`"): default.strip("`") for name, default, _ in table("Settings")}
    defaults = {name.upper(): as_documented(field.default) for name, field in Settings.model_fields.items()}
    assert documented == defaults


def test_every_setting_is_explained() -> None:
    assert [name for name, _, meaning in table("Settings") if len(meaning) < 12] == []


def test_the_example_environment_shows_defaults_and_known_names_only() -> None:
    shown = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    shown.pop("POSTGRES_PASSWORD")  # docker compose's own
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    assert set(shown) <= set(fields)
    for name, value in shown.items():
        assert value == as_documented(fields[name].default).replace(NOT_SET, "")


def test_the_example_environment_sets_nothing_by_itself() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_settings_that_may_hold_a_password_are_never_shown_in_a_settings_repr() -> None:
    assert all(not Settings.model_fields[name].repr for name in SECRET)
