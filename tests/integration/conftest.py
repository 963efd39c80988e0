"""What most of these tests visit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.sites import Site, site


@pytest.fixture
async def a(request: pytest.FixtureRequest, redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The application of `tests.apps.shared` on real Redis.

    A file about token mode says so with ``CREDENTIALS = "token"``.
    """
    credentials = getattr(request.module, "CREDENTIALS", "cookie")
    async with site(redis=redis_url, prefix=prefix, credentials=credentials) as running:
        yield running
