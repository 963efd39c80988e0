"""Broken copies of the library, each with a test that notices."""
