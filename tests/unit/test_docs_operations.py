"""docs/operations.md lists every event and metric, and the lines that operators search for as the code writes them."""

import re
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from shared.observability import events, metrics

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
PACKAGES = ("shared", "workers", "scheduler", "status_api")


def table(title: str) -> list[list[str]]:
    """The cells of a section's first table, without its head."""
    text = OPERATIONS.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def event_names() -> set[str]:
    constants = {name: value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    return {value for name, value in constants.items() if not name.startswith("SCOPE_")}


def source_text() -> str:
    """All code that may write a line, with the strings of split literals joined."""
    texts = [path.read_text() for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(texts))


def pattern_of(line: str) -> str:
    """How code may spell a line whose numbers and codes are examples."""
    parts = re.split(r"\d+ms|\d+s|\d+|WRONGPASS", line)
    return r"[^\n]*?".join(re.escape(part) for part in parts)


def test_every_event_is_explained() -> None:
    assert {name.strip("`") for name, _ in table("Every event")} == event_names()


def test_every_metric_is_listed_with_its_labels_and_its_help() -> None:
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            described = next(iter(metric.describe()))
            name = described.name + ("_total" if isinstance(metric, Counter) else "")
            found[name] = (list(metric._labelnames), described.documentation)
    documented = {
        name.strip("`"): ([label.strip("`") for label in labels.split(", ") if label != "none"], meaning)
        for name, labels, meaning in table("Every metric")
    }
    assert documented == found


def test_the_lines_to_search_for_are_written_by_the_code() -> None:
    code = source_text()
    rows = table("Log lines to search for")
    assert len(rows) == 14
    assert [line for line, _, _ in rows if not re.search(pattern_of(line.strip("`")), code)] == []


def test_the_lines_to_search_for_have_events_that_no_outage_holds_back() -> None:
    assert {event.strip("`") for _, _, event in table("Log lines to search for")} <= events.ESSENTIAL


def test_every_event_that_the_cures_name_exists() -> None:
    named = {first.strip("`") for first, *_ in table("What to do when …") if re.fullmatch(r"`[a-z_]+\.[a-z_]+`", first)}
    assert named
    assert named <= event_names()


def test_every_event_and_metric_is_used_by_the_code() -> None:
    code = source_text()
    constants = {name for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    constants |= {name for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram)}
    assert {name for name in constants if len(re.findall(rf"\b{name}\b", code)) < 2} == set()
