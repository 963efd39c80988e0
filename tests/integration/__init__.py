"""Real sockets, real Redis, real processes."""
