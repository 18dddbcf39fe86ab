"""A real redis-server kept running on this machine, for development: `python -m shared.embedded_redis`."""
