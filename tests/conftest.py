"""Fixtures of every test: databases. What else tests share stands in tests/support and is imported from there."""

pytest_plugins = ("tests.support.database",)
