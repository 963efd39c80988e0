"""The real JavaScript client, a real browser, and what a newcomer runs."""
