"""Plants one fault after another, under the same processes where that tells nothing else than new ones would."""

import contextlib
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.fault import Fault
from tests.chaos.play import Play
from tests.chaos.reference import reference
from tests.chaos.rig import Rig
from tests.chaos.verdict import Row, judged
from tests.support.postgres import PostgresServer
from tests.support.system import ROOT
from tests.support.waiting import pass_time

# A link that is lost four times within a minute, and a log in its second outage within 5 s, behave otherwise, and
# rightly so: under the same processes no more than three faults follow one another, with a pause in between.
FAULTS_PER_RIG = 3
CALM_S = 6.0
LOGS = ROOT / "var/chaos"


@dataclass
class Matrix:
    """Runs faults; `say` is told what happens."""

    database: PostgresServer | None
    say: Callable[[str], object] = lambda _line: None
    rig: Rig | None = None
    bare_port: int = 0
    rows: list[Row] = field(default_factory=list)

    def run(self, faults: Sequence[Fault]) -> Iterator[Row]:
        """Each fault's row as soon as it is known."""
        with reference() as self.bare_port:
            try:
                for fault in faults:
                    yield self._row(fault)
            finally:
                self._end()

    def _row(self, fault: Fault) -> Row:
        if missing := fault.missing():
            return Row(fault.name, fault.what, {}, skipped="; ".join(missing))
        try:
            row = self._judged(fault)
        except Exception as error:  # noqa: BLE001 - one fault that cannot be planted says nothing of the next
            row = Row(fault.name, fault.what, {}, failed="".join(traceback.format_exception(error, limit=-3)))
        if not row.ok:
            self._keep_logs(fault)
        # Slow is not broken: only what was wrong may have left something behind.
        if row.wrong or fault.spoils:
            self._end()
        return row

    def _judged(self, fault: Fault) -> Row:
        rig = self._rig_for(fault)
        self.say(f"{fault.name}: planted for {fault.lasts_s:g} s")
        rig.planted += 1
        return judged(fault, Play(rig, fault).run())

    def _rig_for(self, fault: Fault) -> Rig:
        rig = self.rig
        if rig is not None and self._serves(rig, fault):
            pass_time(max(0.0, rig.quiet_since_s + CALM_S - time.monotonic()))
            return rig.wait_well()
        self._end()
        self.say(f"{fault.name}: starting the processes ({fault.way.name})")
        database = None if fault.on_sqlite else self.database
        self.rig = Rig(fault.way, fault.settings, database, self.bare_port)
        self.rig.prepare()
        return self.rig if fault.at_start else self.rig.start().wait_well()

    def _keep_logs(self, fault: Fault) -> None:
        """What a row that failed is explained by, also after the processes are gone."""
        if self.rig is not None:
            kept = LOGS / fault.name
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            for log in self.rig.folder.glob("*.log"):
                shutil.copy(log, kept)
            self.say(f"{fault.name}: the logs are in {kept}")

    def _end(self) -> None:
        rig, self.rig = self.rig, None
        if rig is not None:
            with contextlib.closing(rig):
                pass

    def _serves(self, rig: Rig, fault: Fault) -> bool:
        database = None if fault.on_sqlite else self.database
        same = rig.way == fault.way and rig.settings == fault.settings and rig.database is database
        return same and not fault.at_start and rig.planted < FAULTS_PER_RIG
