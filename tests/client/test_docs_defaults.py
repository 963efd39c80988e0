"""The tables of settings in the documentation say what the code does."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.processes import ROOT
from tornado_shared_session import RedisStore, SessionManager, SessionServer
from tornado_shared_session.stores.sql import SQLStore

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
CODE: dict[str, Callable[..., Any]] = {
    "SessionManager": SessionManager.__init__,
    "SessionServer": SessionServer.__init__,
    "RedisStore": RedisStore.__init__,
    "SQLStore": SQLStore.__init__,
}


def section(text: str, heading: str) -> str:
    """Return what stands below a heading."""
    _, _, rest = text.partition(f"## {heading}\n")
    return rest.partition("\n## ")[0]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of a table's rows."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def documented() -> Iterator[tuple[str, str, str]]:
    """Yield owner, setting and default of each row."""
    for setting, owners, default, _ in rows(section(OPERATIONS, "Timeouts")):
        for owner in owners.split(", "):
            yield owner.strip("`"), setting.strip("`"), default
    for owner in ("SessionManager", "SessionServer"):
        for setting, default, *_ in rows(section(REFERENCE, f"Options of `{owner}`")):
            yield owner, setting.strip("`"), default


@pytest.mark.parametrize(("owner", "setting", "default"), [*documented()])
def test_a_documented_default_is_the_default(owner: str, setting: str, default: str) -> None:
    """Timeouts above all; what is no number or word follows from something else (V7.1.1)."""
    parameter = inspect.signature(CODE[owner]).parameters[setting]
    words = default.strip("`").replace(",", "")
    try:
        literal = ast.literal_eval(words)
    except (SyntaxError, ValueError):
        assert parameter.default is None, f"{setting}={parameter.default!r} is not {default}"
    else:
        assert parameter.default == literal


def test_every_timeout_of_a_session_is_documented() -> None:
    """With what counts as activity, and what happens beyond the cap of sessions
    (V7.1.1, V7.1.2).
    """
    settings = {setting for owner, setting, _ in documented() if owner == "SessionManager"}
    parameters = inspect.signature(SessionManager.__init__).parameters
    assert {*parameters} - {"self", "store"} == settings
    assert "What counts as activity" in section(OPERATIONS, "Timeouts")
    (cap,) = (row for row in rows(REFERENCE) if row[0] == "`max_sessions_per_user`")
    assert re.search("oldest session ends.*no limit", cap[2])
