"""Fixtures of every test: databases and servers. What else tests share is imported from tests/support."""

pytest_plugins = ("tests.support.database", "tests.support.servers")
