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


@pytest.fixture
async def tokens(redis_url: str, prefix: str) -> AsyncIterator[Site]:
    """The same application in token mode."""
    async with site(redis=redis_url, prefix=prefix, credentials="token") as running:
        yield running
