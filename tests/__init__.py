"""Tests: see STYLE section 5 for what lives where."""
