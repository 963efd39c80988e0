"""A test module per module: no network but the loopback, no sleep."""
