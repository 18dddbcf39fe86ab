"""The fault matrix in short: faults that are quickly planted, none of which needs root."""

import pytest

from tests.chaos.faults import every_fault
from tests.chaos.report import failures
from tests.chaos.run import Matrix
from tests.support.need import skip_or_fail
from tests.support.redis_server import find_binary

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(240)]

SHORT = [fault for fault in every_fault() if fault.short]


def test_the_short_matrix_holds():
    if find_binary() is None:
        skip_or_fail("no redis-server")
    rows = list(Matrix(None).run(SHORT))
    assert [row.name for row in rows] == [fault.name for fault in SHORT]
    # How fast something was is judged by `make chaos`: a machine that runs other tests beside this one is no measure.
    assert [line for row in rows for line in failures(row, timing=False)] == []
