"""The security page: each of its rows has a test or a reason, and says so truthfully."""

from __future__ import annotations

import pytest

from tests.support.security_map import (
    MARK,
    PAGE,
    ROWS,
    BadRow,
    Shown,
    all_claims,
    claims_in,
    labels,
    page,
    problems,
    read,
    tables,
)

MADE_UP = """
[Z]
title = "Made up"
about = "For the tests below."
[Z.rows]
Z1 = { says = "Pigs do not | fly.", ours = "Each is weighed." }
Z2 = { says = "Nor do\\n cows.", ours = "Nothing.", why = "They never tried." }
"""


def test_every_row_is_shown_or_excused_and_every_label_is_a_row() -> None:
    """Of docs/security.toml, by the docstrings of the whole suite."""
    assert problems(read(ROWS.read_text()), all_claims()) == []


def test_the_page_is_what_the_tests_say() -> None:
    """`make docs` writes it anew."""
    assert PAGE.read_text() == page(PAGE.read_text(), read(ROWS.read_text()), all_claims())


def test_a_row_without_test_or_reason_is_a_problem() -> None:
    """The one with a reason is none, nor is the other once a test has its label."""
    groups = read(MADE_UP)
    (problem,) = problems(groups, [])
    assert problem.startswith("Z1 has neither a test nor a reason")
    assert problems(groups, [Shown("tests/test_pigs.py", "test_pigs", ("Z1",))]) == []


def test_a_label_that_is_no_row_is_a_problem() -> None:
    """Whoever mistyped it reads where."""
    tests = [Shown("tests/test_pigs.py", "test_pigs", ("Z1", "Z11"))]
    assert problems(read(MADE_UP), tests) == [
        "tests/test_pigs.py: test_pigs names Z11, which is no row"
    ]


def test_a_page_that_is_older_than_its_tests_is_another_one() -> None:
    """So is one that somebody wrote into; its head is kept."""
    groups = read(MADE_UP)
    tests = [Shown("tests/unit/test_pigs.py", "test_pigs_stay_down", ("Z1",))]
    old = page(f"# Head\n\n{MARK}anything", groups, [])
    new = page(old, groups, tests)
    assert new != old
    assert new.startswith(f"# Head\n\n{MARK}")
    assert page(new + "written by hand", groups, tests) == new
    with pytest.raises(ValueError, match="no line"):
        page("# Head without a mark", groups, tests)


def test_a_table_says_what_where_and_why() -> None:
    """One line for each row, with a link to each file."""
    tests = [Shown("tests/unit/test_pigs.py", "test_pigs_stay_down", ("Z1",))]
    assert tables(read(MADE_UP), tests).splitlines()[5:] == [
        "| Row | What it says | What we do | Shown by |",
        "|---|---|---|---|",
        "| Z1 | Pigs do not \\| fly. | Each is weighed. "
        "| [pigs stay down](../tests/unit/test_pigs.py) |",
        "| Z2 | Nor do cows. | Nothing. *Not shown, or not in full: They never tried.* |  |",
    ]


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("It holds (S5).", ("S5",)),
        ("It holds (S5, F3, V7.2.3).", ("S5", "F3", "V7.2.3")),
        ("It holds,\nsays the second line (S5).", ("S5",)),
        ("It holds (S5).\n\nMore about it.", ("S5",)),
        ("It (S5) holds.", ()),
        ("It holds (see S5).", ()),
        ("It holds (S5 or S6).", ()),
        ("It holds.\n\nAs they say (S5).", ()),
        (None, ()),
    ],
)
def test_labels_stand_at_the_end_of_the_sentence(
    docstring: str | None, found: tuple[str, ...]
) -> None:
    """In parentheses, with commas; anything else is prose."""
    assert labels(docstring) == found


def test_only_tests_show_something() -> None:
    """A helper's docstring, or a module's, claims nothing; a method's and a coroutine's do."""
    source = '''
"""A module (S1)."""
def helper(): """It helps (S2)."""
def test_a(): """A test (S3)."""
async def test_b(): """Another (S4)."""
class TestC:
    """A class (S5)."""
    def test_d(self): """A third (S6)."""
def test_e(): """Of nothing."""
'''
    claimed = {test.name: test.labels for test in claims_in(source, "tests/test_x.py")}
    assert claimed == {"test_a": ("S3",), "test_b": ("S4",), "test_d": ("S6",)}


@pytest.mark.parametrize(
    "row",
    [
        'Z1 = { says = "x", ours = "" }',
        'Z1 = { says = "x" }',
        'Z1 = { says = "x", ours = "y", reason = "z" }',
        'Z1 = { says = "x", ours = "y", why = " " }',
        'zebra = { says = "x", ours = "y" }',
        'Z1 = { says = "x", ours = "y" }\n[Y]\ntitle = "Y"\nabout = "Y"\n[Y.rows]\n'
        'Z1 = { says = "x", ours = "y" }',
    ],
)
def test_a_row_is_whole(row: str) -> None:
    """A sentence, what we do, and a label of its own."""
    with pytest.raises(BadRow):
        read(f'[Z]\ntitle = "Z"\nabout = "Z"\n[Z.rows]\n{row}\n')
