"""Logs, their events, and metrics."""
