"""Which test shows which row of the security page, and the page itself.

`python -m tests.support.security_map` writes the tables of
`docs/security.md`, below its hand-written head. The rows stand in
`docs/security.toml`. A test says in its docstring which of them it shows:
the labels stand in parentheses at the end of the first paragraph.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROWS = ROOT / "docs" / "security.toml"
PAGE = ROOT / "docs" / "security.md"
MARK = "<!-- From here on made by `make docs`, of security.toml and the tests' docstrings. -->\n"

_LABEL = r"[A-Z]\d+(?:\.\d+)*"
_LABELS = re.compile(rf"\(({_LABEL}(?:, {_LABEL})*)\)\.?$")


class BadRow(Exception):
    """A row that says nothing, or that nobody can find."""


@dataclass(frozen=True)
class Row:
    """One sentence that is to hold.

    Attributes:
        label: what tests call it.
        says: the sentence.
        ours: what this library does about it, by default.
        why: why no test shows it, or not all of it.
    """

    label: str
    says: str
    ours: str
    why: str = ""


@dataclass(frozen=True)
class Group:
    """Rows of one source."""

    title: str
    about: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Shown:
    """One test and the rows that it claims to show."""

    path: str
    name: str
    labels: tuple[str, ...]


def read(text: str) -> list[Group]:
    """Return the groups of a file of rows.

    Raises:
        BadRow: one without a sentence, with an unknown field, or twice.
    """
    groups = []
    labels: set[str] = set()
    for content in tomllib.loads(text).values():
        rows = [_row(label, fields) for label, fields in content["rows"].items()]
        twice = labels & {row.label for row in rows}
        if twice:
            raise BadRow(f"{sorted(twice)} twice")
        labels |= {row.label for row in rows}
        groups.append(Group(content["title"], content["about"].strip(), tuple(rows)))
    return groups


def _row(label: str, fields: Mapping[str, Any]) -> Row:
    if not re.fullmatch(_LABEL, label):
        raise BadRow(f"{label!r} is no label that a docstring could have")
    if not {"says", "ours"} <= set(fields) <= {"says", "ours", "why"}:
        raise BadRow(f"{label} has {sorted(fields)}: wanted says, ours and perhaps why")
    if not all(isinstance(text, str) and text.strip() for text in fields.values()):
        raise BadRow(f"{label} has an empty field")
    return Row(label, **fields)


def labels(docstring: str | None) -> tuple[str, ...]:
    """Return the labels at the end of a docstring's first paragraph."""
    first, _, _ = (docstring or "").strip().partition("\n\n")
    found = _LABELS.search(first.strip())
    return tuple(found[1].split(", ")) if found else ()


def claims_in(source: str, path: str) -> list[Shown]:
    """Return the tests of a file that claim to show something."""
    return [
        Shown(path, node.name, claimed)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and (claimed := labels(ast.get_docstring(node)))
    ]


def all_claims(root: Path = ROOT) -> list[Shown]:
    """Return those of the whole suite, in the order of their files."""
    return [
        shown
        for path in sorted((root / "tests").rglob("test_*.py"))
        for shown in claims_in(path.read_text(), path.relative_to(root).as_posix())
    ]


def problems(groups: Iterable[Group], tests: Iterable[Shown]) -> list[str]:
    """Say which rows nobody shows or excuses, and which labels mean nothing."""
    rows = {row.label: row for group in groups for row in group.rows}
    tests = list(tests)
    shown = {label for test in tests for label in test.labels}
    found = [
        f"{row.label} has neither a test nor a reason: {row.says}"
        for row in rows.values()
        if row.label not in shown and not row.why
    ]
    for test in tests:
        found += [
            f"{test.path}: {test.name} names {label}, which is no row"
            for label in test.labels
            if label not in rows
        ]
    return found


def tables(groups: Iterable[Group], tests: Iterable[Shown]) -> str:
    """Return the generated part of the page."""
    tests = list(tests)
    parts = []
    for group in groups:
        parts += [f"\n## {group.title}\n\n{group.about}\n"]
        parts += ["\n| Row | What it says | What we do | Shown by |\n|---|---|---|---|\n"]
        for row in group.rows:
            links = [_link(test) for test in tests if row.label in test.labels]
            parts += [f"| {row.label} | {_cell(row.says)} | {_ours(row)} | {'; '.join(links)} |\n"]
    return "".join(parts)


def _ours(row: Row) -> str:
    reason = f" *Not shown, or not in full: {_cell(row.why)}*" if row.why else ""
    return _cell(row.ours) + reason


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _link(test: Shown) -> str:
    return f"[{test.name.removeprefix('test_').replace('_', ' ')}](../{test.path})"


def page(old: str, groups: Iterable[Group], tests: Iterable[Shown]) -> str:
    """Return a page with its head as it is and its tables made anew.

    Raises:
        ValueError: the page does not say where its head ends.
    """
    head, mark, _ = old.partition(MARK)
    if not mark:
        raise ValueError(f"the page has no line {MARK!r}")
    return head + mark + tables(groups, tests)


def main() -> int:
    """Write the page, and say what is missing."""
    groups, tests = read(ROWS.read_text()), all_claims()
    PAGE.write_text(page(PAGE.read_text(), groups, tests))
    found = problems(groups, tests)
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
