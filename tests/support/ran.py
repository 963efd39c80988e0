"""What really ran: the foreign programs that answered, by their own word."""

from __future__ import annotations

#: Program to version, filled by the tools that talk to them.
PROGRAMS: dict[str, str] = {}
