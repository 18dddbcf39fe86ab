"""A Cost Explorer and an STS that behave: what AWS checks, computes, pages, charges and refuses, on a free port.

In a test: `with FakeCostExplorer(payers=2) as fake: ...`. As a process: `python -m tests.fakes.cost_explorer --port 0`
prints its address, then what must be set to collect from it. `control.py` tells how to ask and change it over HTTP.
"""

from tests.fakes.cost_explorer.book import Book, Charge
from tests.fakes.cost_explorer.faults import Fault
from tests.fakes.cost_explorer.server import FakeCostExplorer

__all__ = ["Book", "Charge", "FakeCostExplorer", "Fault"]
