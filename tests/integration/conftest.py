"""What most of these tests visit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.sites import Site, site


@pytest.fixture
async def a(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The application of `tests.apps.shared` on real Redis."""
    async with site(redis=redis_url, prefix=prefix) as running:
        yield running
