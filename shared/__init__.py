"""What the three processes have in common. Layers inside point downwards only; see docs/architecture.md."""
