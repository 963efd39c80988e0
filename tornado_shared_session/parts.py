"""What a manager may be made of."""

from __future__ import annotations

from .errors import ConfigurationError
from .stores.base import Store


def check_parts(store: object, credentials: object, serializer: object) -> None:
    """Check what a manager is made of; None is the default of each.

    Raises:
        ConfigurationError: it says which one is of no use.
    """
    for name, part in (("store", store), ("credentials", credentials), ("serializer", serializer)):
        if isinstance(part, type):
            kind = part.__qualname__
            raise ConfigurationError(f"{name}= is the class {kind}: pass an object, {kind}(...)")
    if store is not None and not isinstance(store, Store):
        raise ConfigurationError(
            f"SessionManager takes a store, not a {type(store).__qualname__}: for instance"
            ' SessionManager(RedisStore("redis://localhost:6379/0"))'
        )
    for name, part, methods in (
        ("credentials", credentials, ("read", "write")),
        ("serializer", serializer, ("encode", "decode")),
    ):
        if part is not None and not all(callable(getattr(part, m, None)) for m in methods):
            raise ConfigurationError(f"{name}= must have the methods {' and '.join(methods)}")
