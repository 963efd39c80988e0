"""Files that are only type-checked, and the test that does it."""
