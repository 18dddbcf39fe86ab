"""What can be made to go wrong, until it is switched off or for a number of times."""

import random
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

# By what is done to the answer. "error" answers `code` with `status`.
NAMES = (
    "throttle", "error", "error_500", "error_503", "expired", "denied", "unavailable",
    "slow", "drop", "cut", "html", "repeat_token", "endless", "twice", "outside",
)  # fmt: skip


@dataclass
class Fault:
    """`times` None is until it is switched off; `share` of the requests it concerns are hit."""

    name: str
    times: int | None = None
    share: float = 1.0
    account: str | None = None
    operation: str | None = None
    seconds: float = 0.0
    code: str = ""
    status: int = 400
    message: str = ""
    hits: int = 0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"{self.name!r} is none of {', '.join(NAMES)}")

    def concerns(self, operation: str, account: str | None) -> bool:
        """Whether it is about such a request, and not used up."""
        return (
            (self.times is None or self.hits < self.times)
            and self.operation in {None, operation}
            and self.account in {None, account}
        )


@dataclass
class Faults:
    """The faults that are on. Safe to use from any thread."""

    seed: int = 1
    on: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def switch(self, name: str, **facts: Any) -> Fault:
        """Switch one on; its `hits` tell how often it struck."""
        fault = Fault(name, **facts)
        with self._lock:
            self.on.append(fault)
        return fault

    def clear(self, name: str | None = None) -> None:
        """Switch it off, or all."""
        with self._lock:
            self.on = [fault for fault in self.on if name not in {None, fault.name}]

    def strike(self, operation: str, account: str | None, *names: str) -> Fault | None:
        """The first fault of these names that hits this request."""
        with self._lock:
            for fault in self.on:
                if fault.name in names and fault.concerns(operation, account) and self._chance.random() < fault.share:
                    fault.hits += 1
                    return fault
        return None

    def shown(self) -> list[dict[str, Any]]:
        """As JSON."""
        with self._lock:
            return [asdict(fault) for fault in self.on]
