"""The worker: a launcher that serves probes, and under it Dramatiq's processes, which collect costs."""
