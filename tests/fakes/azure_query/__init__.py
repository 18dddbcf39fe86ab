"""A fake Azure Cost Management Query: real shapes, computed from made-up charges, with Azure's manners and bad days.

In a test `with azure() as fake: ...`; by itself `python -m tests.fakes.azure_query`, which prints its address first.
"""

from tests.fakes.azure_query.server import FakeAzure, azure
from tests.fakes.azure_query.tokens import token_for

__all__ = ["FakeAzure", "azure", "token_for"]
