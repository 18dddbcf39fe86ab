"""Days whose costs of one service are far from what its past made likely. Pure; docs/anomalies.md explains it."""

from shared.core.anomalies.detect import find
from shared.core.anomalies.types import RULES, Anomaly, AnomalyKind, History, Rules, Verdict

__all__ = ["RULES", "Anomaly", "AnomalyKind", "History", "Rules", "Verdict", "find"]
