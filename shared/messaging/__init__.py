"""Hints on their way through Redis: the message contract, the Dramatiq broker on the link, the sender, queue depths."""
