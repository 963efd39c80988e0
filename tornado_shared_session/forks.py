"""What a fork leaves behind: tasks, sockets and loops that belong to the parent.

A connection that two processes write to gives either the other's
replies, and a copied event loop is no sign that anything runs in it. So
who holds such things is told of a fork, in the child. What was made but
not used yet holds none, and may be forked.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import Any, Protocol

from .errors import ConfigurationError, StoreError

#: In the place of the event loop that something is used in: none, until it is opened again.
CLOSED = "closed"


class Holder(Protocol):
    """Something that may hold what a fork spoils."""

    def forked(self) -> None:
        """Called in the child, before anything else of ours runs there."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()


def tell_of_forks(holder: Holder) -> None:
    """Call its `forked` in every child that is forked from here on, as long as it lives."""
    _holders.add(holder)


def used_elsewhere(what: str, yours: str = "") -> ConfigurationError:
    """Return the error for what was used in another event loop, or before a fork.

    Args:
        yours: what of the application's it is built on, if that is so. A
            close does not close its connections, so it would be no remedy.
    """
    remedy = "or close it there first"
    if yours:
        remedy = f"each on a new {yours}: connections of yours stay in the loop they were made in"
    return ConfigurationError(
        f"this {what} was used in another event loop or process; create one store (and one"
        f" SessionManager) per event loop, after forking, {remedy}"
    )


class OneLoop:
    """What belongs to the event loop that uses it first, until it is closed there.

    Args:
        name: for the error, of what it is a part of.
        yours: what of the application's it is built on, "client" for instance.
    """

    def __init__(self, name: str, yours: str = "") -> None:
        self._name, self._yours = name, yours
        self._loop: Any = None  # what it is used in; else CLOSED, or what spoilt it
        self._home: asyncio.AbstractEventLoop  # what it is, or was last, used in
        tell_of_forks(self)

    @property
    def used(self) -> bool:
        """Whether an event loop uses it."""
        return self._loop not in (None, CLOSED)

    def open(self) -> None:
        """Take questions again after a close."""
        if self._loop is CLOSED:
            self._loop = None

    def forked(self) -> None:
        """In a child: every connection that there is, is the parent's."""
        raise NotImplementedError

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is CLOSED:
            raise StoreError("the session store is closed")
        if self._loop is not None:
            raise used_elsewhere(self._name, self._yours)
        self._loop = self._home = loop


def _forked() -> None:
    for holder in list(_holders):
        holder.forked()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forked)
