"""The environment, read once into one frozen object. docs/operations.md lists the variables; a test holds it equal.

Only the composition root reads this (and `redis_link`, when it is used without one); everything else gets plain values.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from dotenv import dotenv_values
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.core.crontab import Crontab
from shared.core.errors import SettingsError
from shared.core.redact import may_be_secret

Process = Literal["status_api", "scheduler", "worker"]

DOTENV: Final = ".env"
# Variables that a line in .env must not or need not set: it would reach every process alike.
PER_PROCESS: Final = frozenset({"PORT", "PROBE_PORT"})
DEFAULT_PORTS: Final[Mapping[Process, int]] = {"status_api": 4000, "scheduler": 4100, "worker": 4200}
# Their values may hold a password: an error about them never repeats what was given.
SECRET: Final = frozenset({"redis_url", "database_url", "api_token", "alert_webhook_url"})
UNREADABLE: Final = "host and port cannot be read; special characters in a password must be percent-encoded"
API_PROBE_OFFSET: Final = 50
LAST_PORT: Final = 65_535

PositiveSeconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=1, le=LAST_PORT)]


class Settings(BaseSettings):
    """Every setting, checked. Durations are seconds, as the `_s` says."""

    model_config = SettingsConfigDict(
        env_file=DOTENV,
        env_file_encoding="utf-8",
        frozen=True,
        extra="ignore",
        case_sensitive=False,
        env_ignore_empty=True,
    )

    redis_url: str = Field("redis://localhost:6379/0", repr=False)
    redis_namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")] = "holdfast"
    database_url: str = Field("sqlite:///var/holdfast.db", repr=False)
    log_level: Literal["error", "warn", "info", "debug"] = "info"
    log_format: Literal["text", "json"] = "text"
    app_env: Literal["development", "production", "test"] = "development"
    host: str = "127.0.0.1"
    port: Port | None = None
    probe_port: Port | None = None
    api_token: str | None = Field(None, repr=False, min_length=8)
    accounts_file: Path = Path("accounts.toml")
    embedded_redis_bin: Path | None = None

    cost_schedule: str = "0 2 * * *"
    cost_timezone: str = "UTC"
    cost_window_days: Annotated[int, Field(ge=1, le=366)] = 7
    cost_lookback_days: Annotated[int, Field(ge=1, le=366)] = 30
    cost_restate_days: Annotated[tuple[int, ...], NoDecode] = (3, 5, 10)
    cost_deadline: str | None = None
    alert_webhook_url: str | None = Field(None, repr=False)

    run_renew_s: PositiveSeconds = 10
    run_lease_s: PositiveSeconds = 30
    run_max_s: PositiveSeconds = 3600
    run_retry_delays_s: Annotated[tuple[float, ...], NoDecode] = (60.0, 300.0, 900.0, 3600.0)
    run_retention_days: Annotated[int, Field(ge=0, le=36_500)] = 400
    dispatch_window: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    direct_after_s: Annotated[float, Field(ge=0, le=86_400)] = 60
    worker_processes: Annotated[int, Field(ge=1, le=64)] = 1
    worker_threads: Annotated[int, Field(ge=1, le=256)] = 8
    shutdown_grace_s: Annotated[float, Field(ge=0, le=3600)] = 25

    redis_startup_attempts: Annotated[int, Field(ge=1, le=10_000)] = 20
    redis_retry_first_delay_s: PositiveSeconds = 1
    redis_retry_multiplier: Annotated[float, Field(ge=1, le=10)] = 2
    redis_retry_max_delay_s: PositiveSeconds = 15
    redis_retry_jitter: Annotated[float, Field(ge=0, le=1)] = 0
    redis_wake_interval_s: Annotated[float, Field(ge=0, le=60)] = 0.25
    redis_beat_interval_s: PositiveSeconds = 0.5
    redis_beat_timeout_s: PositiveSeconds = 2
    redis_connect_timeout_s: PositiveSeconds = 2
    redis_command_timeout_s: PositiveSeconds = 3
    redis_max_connections: Annotated[int, Field(ge=1, le=10_000)] = 50

    @classmethod
    def settings_customise_sources(  # noqa: PLR0917 - the signature is pydantic's
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - as above
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over .env; of .env, what is per process is left out."""

        def shared_dotenv() -> dict[str, Any]:
            return {name: value for name, value in dotenv_settings().items() if name.upper() not in PER_PROCESS}

        return init_settings, env_settings, shared_dotenv, file_secret_settings  # type: ignore[return-value] # a callable is a source

    @field_validator("log_level", "log_format", "app_env", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
        except ValueError:
            # Python's own message repeats what stands before the host.
            raise ValueError(UNREADABLE) from None
        if parts.scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("must begin with redis://, rediss:// or unix://")
        if parts.scheme == "unix" and not parts.path:
            raise ValueError("needs the socket's path, as in unix:///run/redis.sock")
        if parts.scheme != "unix":
            try:
                _ = parts.port
            except ValueError:
                # As above: with a raw slash in a password, half of it.
                raise ValueError(UNREADABLE) from None
            if parts.fragment or any("@" in part.partition("=")[0] for part in parts.query.split("&")):
                # A password with a raw # or ? in it ends there, and its first half would be taken for the port.
                raise ValueError(UNREADABLE)
            path = parts.path.strip("/")
            if path and not path.isdecimal():
                raise ValueError("the part after the host must be a database number, as in redis://host:6379/0")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: str) -> str:
        if not re.match(r"^(sqlite:///|postgres(ql)?://)", value):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("cost_timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("must be an IANA time zone, such as UTC or Europe/Berlin")
        return value

    @field_validator("cost_schedule")
    @classmethod
    def _schedule(cls, value: str) -> str:
        try:
            Crontab.parse(value)
        except ValueError as error:
            told = "" if may_be_secret(value) else f" ({error})"
            raise ValueError(f"must be a crontab line of five fields, such as '0 2 * * *'{told}") from None
        return value

    @field_validator("cost_restate_days", mode="before")
    @classmethod
    def _restate_days(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",")]
        if parts == ["0"]:
            return ()
        # Days that every month has.
        if not all(part.isascii() and part.isdecimal() and 1 <= int(part[:3]) <= 28 for part in parts):
            raise ValueError(
                "must be days of the month from 1 to 28 separated by commas, such as 3,5,10, or 0 for none"
            )
        return tuple(sorted(set(map(int, parts))))

    @field_validator("cost_deadline")
    @classmethod
    def _deadline(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", value):
            raise ValueError("must be a time of day as in 10:00, or unset for no deadline")
        return value or None

    @field_validator("alert_webhook_url")
    @classmethod
    def _webhook(cls, value: str | None) -> str | None:
        if not value:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            # Nothing of it is repeated: its path is a secret at most services.
            raise ValueError("must be a URL that begins with https:// or http:// and names a host")
        return value

    @field_validator("run_retry_delays_s", mode="before")
    @classmethod
    def _delays(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            delays = tuple(float(part) for part in value.split(","))
        except ValueError:
            raise ValueError("must be seconds separated by commas, such as 60,300,900,3600") from None
        if any(not 0 <= delay <= 7 * 86_400 for delay in delays):
            raise ValueError("each delay must lie between 0 and 604800 seconds")
        return delays

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.run_lease_s <= self.run_renew_s:
            raise ValueError("RUN_LEASE_S must be longer than RUN_RENEW_S, or every run is taken back while it is held")
        if self.redis_retry_max_delay_s < self.redis_retry_first_delay_s:
            raise ValueError("REDIS_RETRY_MAX_DELAY_S must not be shorter than REDIS_RETRY_FIRST_DELAY_S")
        return self

    @property
    def accounts_file_is_given(self) -> bool:
        """Whether ACCOUNTS_FILE names the file; where nobody named one, there may be none yet."""
        return "accounts_file" in self.model_fields_set

    def port_of(self, process: Process) -> int:
        """Where `process` listens: PORT, or its own default."""
        return self.port or DEFAULT_PORTS[process]

    def probe_port_of(self, process: Process) -> int:
        """Where `process` serves health and metrics: PROBE_PORT, or PORT (for status_api PORT+50).

        Raises SettingsError when that lies beyond the last port.
        """
        offset = API_PROBE_OFFSET if process == "status_api" else 0
        port = self.probe_port or self.port_of(process) + offset
        if port > LAST_PORT:
            raise SettingsError(problems=[f"PROBE_PORT: PORT+{offset} is {port}, beyond {LAST_PORT}; set a lower PORT"])
        return port


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and .env. Raises SettingsError with one line for each mistake."""
    problems = _dotenv_problems()
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(problems=[*problems, *(_problem(dict(item)) for item in error.errors())]) from None
    if problems:
        raise SettingsError(problems=problems)
    return settings


def _dotenv_problems() -> list[str]:
    if Path(DOTENV).is_file() and "PROBE_PORT" in dotenv_values(DOTENV):
        return ["PROBE_PORT: must not stand in .env, where it would reach every process; set it per process"]
    return []


def _problem(item: Mapping[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if not item["loc"]:
        return message
    field = str(item["loc"][0])
    given = "" if field in SECRET else f" ({_given(str(item['input']))})"
    return f"{field.upper()}: {message}{given}"


def _given(value: str) -> str:
    return "what was given is not repeated, it may be a secret" if may_be_secret(value) else f"given: {value[:80]!r}"
