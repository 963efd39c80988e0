"""Prove that a test would notice: run it against a broken copy of us.

    assert Mutant("stores/memory.py", "if record is None:", "if False:").kills(
        "tests/unit/test_memory.py::test_commit_never_creates"
    )

The copy lives in a temporary directory and runs in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tornado_shared_session"


class Broken(NamedTuple):
    """One broken place, and a test that must fail."""

    module: str
    old: str
    new: str
    killed_by: str


@dataclass(frozen=True)
class Mutant:
    """One change of our source: in `module`, `old` becomes `new`.

    `module` is relative to the package, such as "manager.py". `old` must
    be there exactly once, so that a mutant cannot quietly become stale.
    """

    module: str
    old: str
    new: str

    def kills(self, *node_ids: str, timeout: float = 120.0) -> bool:
        """Tell whether one of the tests fails with this change.

        Raises:
            ValueError: `old` is not there exactly once.
            RuntimeError: the tests did not run: wrong id, all skipped, or
                the mutant cannot even be imported. Has pytest's output.
        """
        root = Path(_copy().name)
        with self._applied(root / PACKAGE / self.module):
            result = _pytest(root, node_ids, timeout)
        passed = result.returncode == 0 and " passed" in result.stdout
        if passed or (result.returncode == 1 and " failed" in result.stdout):
            return not passed
        raise RuntimeError(f"{self!r}\n{result.stdout[-4000:]}{result.stderr[-2000:]}")

    @contextmanager
    def _applied(self, path: Path) -> Iterator[None]:
        source, times = path.read_text(), path.stat()
        if (found := source.count(self.old)) != 1:
            raise ValueError(f"{self.old!r} is {found} times in {self.module}, not once")
        # What is compiled of it is told apart by seconds and size only.
        compiled = Path(cache_from_source(str(path)))
        compiled.unlink(missing_ok=True)
        path.write_text(source.replace(self.old, self.new))
        try:
            yield
        finally:
            path.write_text(source)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            compiled.unlink(missing_ok=True)


@cache
def _copy() -> tempfile.TemporaryDirectory[str]:
    """Copy us, once a process: what a mutant compiles is there for the next."""
    folder = tempfile.TemporaryDirectory(prefix="tss-mutants-")
    root = Path(folder.name)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in (PACKAGE, "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("pyproject.toml", ".cache", "examples", "docs"):
        if (ROOT / name).exists():
            (root / name).symlink_to(ROOT / name)
    return folder


def _pytest(
    root: Path, node_ids: tuple[str, ...], timeout: float
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *node_ids]
    environ = {**os.environ, "TSS_MUTANT_ROOT": str(root), "PYTHONPATH": str(root)}
    # The tests under a mutant are not the suite: a skip there is told apart here.
    # Nor is its folder one to be kept clean of what Python compiles.
    for name in ("CI", "PYTHONDONTWRITEBYTECODE"):
        environ.pop(name, None)
    return subprocess.run(
        command, cwd=root, env=environ, capture_output=True, text=True, timeout=timeout, check=False
    )
