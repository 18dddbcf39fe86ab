"""Pure decisions and frozen values: no clock, no thread, no socket, no environment."""
