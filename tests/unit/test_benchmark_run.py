"""What surrounds the measuring: what is chosen, what is left out, whose time counts."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from benchmarks import clocks, run
from benchmarks.installs import InstallError
from benchmarks.plan import ROWS, SUBJECTS, select
from benchmarks.run import LeftOut, prepare

BURN = """
import subprocess, sys, time
if len(sys.argv) == 1:
    child = subprocess.Popen([sys.executable, __file__, "leaf"], stdout=subprocess.PIPE)
    child.stdout.readline()
else:
    while time.process_time() < 0.2: pass
print(flush=True)
sys.stdin.read()
"""


def test_a_servers_children_are_counted_with_it(tmp_path: object) -> None:
    """As gunicorn's worker is: the master itself does next to nothing."""
    file = f"{tmp_path}/burn.py"
    with open(file, "w") as script:
        script.write(BURN)
    command = [sys.executable, file]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    try:
        process.stdout.readline()
        family = clocks.family(process.pid)
        assert len(family) == 2
        assert clocks.seconds(family) >= 0.2
        assert clocks.seconds(family) > clocks.process_seconds(process.pid)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def test_the_clock_from_outside_is_the_process_own() -> None:
    """To the microseconds that asking takes."""
    before = time.process_time()
    seen = clocks.process_seconds(os.getpid())
    assert before <= seen <= time.process_time()


def test_a_peer_that_cannot_be_installed_is_left_out_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are measured."""

    def install(kind: str) -> None:
        if kind == "node":
            raise InstallError("npm was not found")

    monkeypatch.setattr(run, "install", install)
    left_out = LeftOut()
    cells = prepare(select("http-read-32-80B"), left_out)
    assert left_out.reasons == {
        "express-bare": "npm was not found",
        "express": "npm was not found",
    }
    assert {"flask", "library-uvloop"} <= {cell.subject.name for cell in cells}
    assert not {cell.subject.runtime for cell in cells} & {"node"}
    assert "left out: bare Express: npm was not found" in capsys.readouterr().err


def test_without_peers_nothing_needs_an_installation() -> None:
    """And every row is there all the same."""
    cells = select("", peers=False)
    assert not any(cell.subject.needs for cell in cells)
    assert {cell.row for cell in cells} == set(ROWS)
    assert {cell.subject for cell in select("")} == set(SUBJECTS)


def test_each_cell_brings_its_bare_framework_along() -> None:
    """There is nothing to be added to otherwise."""
    chosen = [cell.label for cell in select("http-write-32-4KB / (library|flask)$")]
    assert chosen == [
        f"http-write-32-4KB / {name}" for name in ("bare", "library", "flask-bare", "flask")
    ]
    with pytest.raises(ValueError, match="matches no row"):
        select("no such row")
    with pytest.raises(ValueError, match="--only"):
        select("(")
