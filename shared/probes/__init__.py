"""What probes ask and how they are answered: from memory, on a listener with threads of its own."""
