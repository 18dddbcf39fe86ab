"""The status API: what has been collected, what is being collected, and a way to ask for more."""
