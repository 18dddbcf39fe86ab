"""The shapes of a log line, as functions of loguru's record: text for people, JSON for machines."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

# What has a place of its own in a line, and what only steers it.
STEERING: Final = frozenset({"event", "scope", "process", "logger"})
NOT_IN_JSON: Final = STEERING - {
    "scope"
}  # whoever counts an outage's lines must know which belong to runs and requests
RESERVED: Final = frozenset({"timestamp", "level", "message", "event", "process", "pid", "thread", "exception"})


def text_line(record: Mapping[str, Any], exception: str) -> str:
    """`2026-01-01T00:00:00.000Z INFO [scheduler] message  fact=value`, then the traceback if there is one."""
    extra = record["extra"]
    facts = " ".join(f"{name}={_plain(value)}" for name, value in extra.items() if name not in STEERING)
    message = _one_line(record["message"])
    head = f"{_stamp(record['time'])} {record['level'].name:<7} [{extra.get('process', '-')}] {message}"
    line = f"{head}  {facts}" if facts else head
    if not exception:
        return line
    return f"{line}  {_last_line(exception)}" if record.get("short") else f"{line}\n{exception}"


def json_line(record: Mapping[str, Any], exception: str) -> str:
    """One JSON object: the line's own keys, then the bound facts."""
    extra = record["extra"]
    line: dict[str, Any] = {
        "timestamp": _stamp(record["time"]),
        "level": record["level"].name.lower(),
        "message": record["message"],
        "event": extra.get("event"),
        "process": extra.get("process"),
        "pid": record["process"].id,
        "thread": record["thread"].name,
        "logger": extra.get("logger", record["name"]),
    }
    for name, value in extra.items():
        if name not in NOT_IN_JSON:
            line[f"fact_{name}" if name in RESERVED else name] = value
    if exception:
        line["exception"] = _last_line(exception) if record.get("short") else exception
    return json.dumps(line, default=_json_value, ensure_ascii=False)


def json_kept(redact: Callable[[str], str]) -> Callable[[str], str]:
    """`redact` for a JSON line: where it cut into the syntax, each text inside is redacted by itself instead."""

    def kept(line: str) -> str:
        hidden = redact(line)
        if hidden == line:
            return line
        try:
            json.loads(hidden)
        except ValueError:
            return json.dumps(_deep(json.loads(line), redact), ensure_ascii=False)
        return hidden

    return kept


def _deep(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        # Name and value together, since the name may be what tells that the value is a secret.
        pairs = {name: _deep(inner, redact) for name, inner in value.items()}
        return {name: _paired(name, inner, redact) for name, inner in pairs.items()}
    return [_deep(inner, redact) for inner in value] if isinstance(value, list) else value


def _paired(name: str, value: Any, redact: Callable[[str], str]) -> Any:
    if not isinstance(value, str) or "\n" in value:
        return value
    return redact(f"{name}={value}").partition("=")[2]


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _plain(value: object) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(_plain, value)) or "-"
    text = _one_line(str(_json_value(value)) if not isinstance(value, str) else value)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text else text


def _last_line(exception: str) -> str:
    return _one_line(exception.rsplit("\n", 1)[-1])


def _json_value(value: object) -> object:
    return _stamp(value) if isinstance(value, datetime) and value.tzinfo else str(value)
