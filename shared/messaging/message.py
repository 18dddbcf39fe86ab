"""The one message Holdfast sends: a hint that an attempt of a run may be claimed. The ledger holds everything else."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from dramatiq import Message

from shared.core.runs import RunReady

QUEUE: Final = "collect"
ACTOR: Final = "collect_run"


def queue_namespace(namespace: str) -> str:
    """What every key of the queues begins with, under the application's own namespace."""
    return f"{namespace}:queues"


def encode(ready: RunReady) -> Message[None]:
    """The message that carries `ready`."""
    facts = {"ledger_id": str(ready.ledger_id), "run_id": ready.run_id, "attempt": ready.attempt}
    return Message(queue_name=QUEUE, actor_name=ACTOR, args=(), kwargs=facts, options={})


def decode(facts: Mapping[str, Any]) -> RunReady:
    """What a message's keyword arguments say. Raises ValueError when they are not what `encode` writes."""
    if set(facts) != {"ledger_id", "run_id", "attempt"}:
        raise ValueError(f"a hint has ledger_id, run_id and attempt, not {sorted(facts)}")
    run_id, attempt = facts["run_id"], facts["attempt"]
    if not (_is_ordinal(run_id) and _is_ordinal(attempt)):
        raise ValueError("run_id and attempt of a hint are whole numbers from 1")
    return RunReady(ledger_id=UUID(str(facts["ledger_id"])), run_id=run_id, attempt=attempt)


def _is_ordinal(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
