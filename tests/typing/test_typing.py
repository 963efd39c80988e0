"""The types that users see: what mypy --strict accepts and what it rejects."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REJECTED = (HERE / "rejected.txt").read_text()

Complaints = dict[str, set[tuple[int, str]]]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Complaints:
    """What mypy says about the two files: line and code, by file."""
    folder = tmp_path_factory.mktemp("typing")
    (folder / "rejected.py").write_text(REJECTED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    command += ["--cache-dir", str(folder / "cache")]
    files = [str(HERE / "accepted.py"), str(folder / "rejected.py")]
    result = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    found: Complaints = {"accepted.py": set(), "rejected.py": set()}
    for line in result.stdout.splitlines():
        match = re.match(r".*?(\w+\.py):(\d+): error: .*\[([\w-]+)\]$", line)
        if match:
            found.setdefault(match[1], set()).add((int(match[2]), match[3]))
        else:
            assert ": note:" in line, line
    return found


def test_what_users_write_is_accepted(complaints: Complaints) -> None:
    """Also the results of functions that were passed in, sync and async."""
    assert complaints["accepted.py"] == set()


def test_what_cannot_work_is_rejected(complaints: Complaints) -> None:
    """Each line with the error that it announces, and no other line."""
    expected = set()
    for number, line in enumerate(REJECTED.splitlines(), 1):
        _, marked, codes = line.partition("# E: ")
        expected |= {(number, code) for code in codes.split(", ") if marked}
    assert len(expected) > 15
    assert complaints["rejected.py"] == expected


def test_nothing_else_is_wrong(complaints: Complaints) -> None:
    """The library itself, which these files import, is clean."""
    assert set(complaints) == {"accepted.py", "rejected.py"}
