"""Runs mutants side by side: each is a process, and only has to fail.

A busy machine makes a test fail rather than pass, so the company of
others hides no mutant that lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_verdicts: dict[str, Future[None]] = {}


@pytest.fixture(scope="session", autouse=True)
def side_by_side(request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin all that were collected, as many at once as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for item in request.session.items:
            if isinstance(item, pytest.Function) and HERE in item.path.parents:
                params = item.callspec.params  # nothing else is what they take
                _verdicts[item.nodeid] = pool.submit(item.function, **params)
        yield
        pool.shutdown(cancel_futures=True)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Wait for the verdict, which is the test's own."""
    _verdicts[pyfuncitem.nodeid].result()
    return True
