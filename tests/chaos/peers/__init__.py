"""Other queues, as they come, under faults that apply to them, beside Holdfast: python -m tests.chaos.peers."""
