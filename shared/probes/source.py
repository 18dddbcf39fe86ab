"""Where the probe application gets its answers: always memory, whoever filled it."""

from typing import Any, Protocol

from shared.probes.bodies import Live, Moment, Ready


class HealthSource(Protocol):
    """Answers at once: no I/O, no lock that anyone holds across I/O."""

    def moment(self) -> Moment:
        """The present, and the process's uptime."""
        ...

    def live(self) -> Live:
        """Whether the process itself works."""
        ...

    def ready(self) -> Ready:
        """Whether it can do its work."""
        ...

    def dependencies(self) -> dict[str, Any]:
        """What it depends on, in detail."""
        ...
