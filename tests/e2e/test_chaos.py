"""The fault matrix in short: the faults that are quickest to plant, none of which needs root."""

import pytest

from tests.chaos.faults import every_fault
from tests.chaos.run import Matrix
from tests.support.need import skip_or_fail
from tests.support.redis_server import find_binary
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

SHORT = [fault for fault in every_fault() if fault.short]
