"""Can this machine train, and what would make it better at it? What is installed, what there is, and what to do."""
