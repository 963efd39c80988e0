"""Server programs that the tests start as real processes."""
