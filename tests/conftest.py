"""Fixtures of every test: databases and servers. What else tests share is imported from tests/support."""

import signal

pytest_plugins = ("tests.support.database", "tests.support.servers")

# A shell has what it starts in the background ignore SIGINT, and every process of ours would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
