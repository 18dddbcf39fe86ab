"""Where a process is put together: the only place that knows every part and reads the settings."""
