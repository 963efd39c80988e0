"""What is asked of Redis, as it travels."""

from __future__ import annotations

import pytest

from tornado_shared_session.stores.redis_requests import pack, pack_keys


@pytest.mark.parametrize(
    "keys",
    [
        ["tss:s:" + "a" * 22],
        [f"tss:s:{n:022}" for n in range(500)],
        ["short", "a longer one"],
        ["größe1", "größe2"],  # as many characters, and more bytes
        ["", ""],
        [],
    ],
)
def test_many_keys_travel_as_any_command_does(keys: list[str]) -> None:
    """Those of one length in less time, and the same bytes."""
    command = ("EVALSHA", "f" * 40, len(keys))
    assert pack_keys(command, keys) == pack((*command, *keys))
