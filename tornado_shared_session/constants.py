"""Named constants, each the only one of its kind: `Constant`.

What `enum` is for. But Python 3.11 looks a member of an enum up by way of
its metaclass's `__getattr__` (3.12 has none), which takes five times as
long, and every request and event looks at six of them and more.
"""

from __future__ import annotations

from typing import Any


class Constant:
    """A value that is compared by ``is``.

    A subclass annotates the names of its constants, which are then made::

        class Light(Constant):
            ON: ClassVar[Light]
            OFF: ClassVar[Light]

    Args:
        name: the attribute of its class by which it is known.
    """

    def __init_subclass__(cls) -> None:
        for name in cls.__annotations__:
            setattr(cls, name, cls(name))

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (type(self), self.name)  # a copy is the same one

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"
