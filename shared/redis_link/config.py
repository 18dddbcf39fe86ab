"""What a link needs to know, as plain values."""

from dataclasses import dataclass, field
from typing import Self

from shared.core.backoff import Backoff
from shared.core.errors import SettingsError
from shared.redis_link.endpoint import endpoint_of
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """Durations are seconds. `wake_interval_s` 0 leaves the scheduled attempts alone to find that Redis is back."""

    url: str = field(default="redis://localhost:6379/0", repr=False)
    namespace: str = "holdfast"
    startup_attempts: int = 20
    first_delay_s: float = 1.0
    multiplier: float = 2.0
    max_delay_s: float = 15.0
    jitter: float = 0.0
    wake_interval_s: float = 0.25
    beat_interval_s: float = 0.5
    beat_timeout_s: float = 2.0
    connect_timeout_s: float = 2.0
    command_timeout_s: float = 3.0
    max_connections: int = 50

    def __post_init__(self) -> None:
        if self.startup_attempts < 1 or self.max_connections < 1:
            raise ValueError("startup_attempts and max_connections must be at least 1")
        if self.wake_interval_s < 0:
            raise ValueError("wake_interval_s must not be negative")
        if min(self.beat_interval_s, self.beat_timeout_s, self.connect_timeout_s, self.command_timeout_s) <= 0:
            raise ValueError("intervals and timeouts must be positive")
        _ = self.backoff  # checks the delays
        endpoint_of(self.url)

    @property
    def backoff(self) -> Backoff:
        """The delays between attempts."""
        return Backoff(self.first_delay_s, self.multiplier, self.max_delay_s, self.jitter)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The link that the environment asks for. Raises SettingsError when its URL makes no sense."""
        try:
            return cls._of(settings)
        except ValueError as error:
            raise SettingsError(problems=[f"REDIS_URL: {error}"]) from None

    @classmethod
    def _of(cls, settings: Settings) -> Self:
        return cls(
            url=settings.redis_url,
            namespace=settings.redis_namespace,
            startup_attempts=settings.redis_startup_attempts,
            first_delay_s=settings.redis_retry_first_delay_s,
            multiplier=settings.redis_retry_multiplier,
            max_delay_s=settings.redis_retry_max_delay_s,
            jitter=settings.redis_retry_jitter,
            wake_interval_s=settings.redis_wake_interval_s,
            beat_interval_s=settings.redis_beat_interval_s,
            beat_timeout_s=settings.redis_beat_timeout_s,
            connect_timeout_s=settings.redis_connect_timeout_s,
            command_timeout_s=settings.redis_command_timeout_s,
            max_connections=settings.redis_max_connections,
        )
