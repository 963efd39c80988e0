"""The benchmark measures what really works: a wrong answer or counter fails it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.redis]
ROW = "http-write-1-80B / library$"
SUBJECT = "benchmarks/subjects/library.py"


def measure(folder: Path) -> subprocess.CompletedProcess[str]:
    """Measure one row of the copy in a folder."""
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--rounds",
        "1",
        "--no-peers",
        "--only",
        ROW,
    ]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, timeout=60)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the library and its benchmark, to be spoilt."""
    for name in ("benchmarks", "tornado_shared_session"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("results"))
    (tmp_path / "benchmarks" / "results").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('str(self.session["count"])', 'str(self.session.pop("count"))'),
        ("self.write(str(", 'self.write("1" + str('),
    ],
    ids=["lost save", "wrong body"],
)
def test_what_is_wrong_fails_the_benchmark(copy: Path, old: str, new: str) -> None:
    """As it is, the row is measured; spoilt, the run fails and names the row."""
    right = measure(copy)
    assert right.returncode == 0, right.stderr
    assert "this library" in right.stdout
    source = (copy / SUBJECT).read_text()
    assert old in source
    (copy / SUBJECT).write_text(source.replace(old, new))
    wrong = measure(copy)
    assert wrong.returncode == 1
    assert "http-write-1-80B" in wrong.stdout + wrong.stderr
