"""How long to wait between attempts: 1, 2, 4, 8, 15, 15 … seconds by default."""

from dataclasses import dataclass

# Beyond this many doublings any delay has long reached its cap; the power stays a small number.
MAX_EXPONENT = 32


@dataclass(frozen=True, slots=True)
class Backoff:
    """Geometric delays from `first_s`, at most `cap_s`. `jitter` is the share of a delay that chance may take off."""

    first_s: float = 1.0
    multiplier: float = 2.0
    cap_s: float = 15.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.cap_s:
            raise ValueError("first_s must be positive and not above cap_s")
        if self.multiplier < 1:
            raise ValueError("multiplier must be at least 1")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter must lie between 0 and 1")


def delay_s(policy: Backoff, retry: int, chance: float = 0.0) -> float:
    """Seconds to wait before retry number `retry` (1 is the first). `chance` in [0, 1) is drawn by the caller.

    Jitter only shortens: what a user is told to wait is never less than what it takes.
    """
    full_s = min(policy.first_s * policy.multiplier ** min(retry - 1, MAX_EXPONENT), policy.cap_s)
    return full_s * (1 - policy.jitter * chance)


def spread_s(interval_s: float, chance: float, share: float = 0.2) -> float:
    """`interval_s` give or take `share` of it: processes that started together do not look together."""
    return interval_s * (1 + share * (2 * chance - 1))
