"""What the tests of this repository share; users get `testing` instead."""
