"""What a process tells of itself: named events, log lines, metrics."""
