"""Every fault under the real processes: what they say while it stands, when they heal, what is lost."""
