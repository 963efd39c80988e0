"""What surrounds the measuring: what is chosen, what is left out, whose time counts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import clocks, run
from benchmarks.installs import InstallError
from benchmarks.measure import Measurement, Pace, Sample, measure
from benchmarks.plan import ROWS, SUBJECTS, Cell, Subject, select
from benchmarks.processes import Server
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


class NoRedis:
    """In the place of a Redis that nobody asks."""

    url, pid = "redis://nowhere", 0

    def __enter__(self) -> NoRedis:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def close(self) -> None:
        """End the meter, whose place it takes, too."""


class Starts(list[str]):
    """The servers that were started, in their order.

    `works`: how often one can be started, if not always.
    """

    def __init__(self) -> None:
        super().__init__()
        self.works: dict[str, int] = {}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Starts:
    """What a run starts; nothing is really started or measured."""
    starts = Starts()

    @asynccontextmanager
    async def run_server(subject: Subject, *args: object) -> AsyncIterator[Server]:
        if starts.count(subject.name) >= starts.works.get(subject.name, 99):
            raise RuntimeError(f"the server of {subject.name} did not start")
        starts.append(subject.name)
        yield Server(subject, len(starts))

    async def measure(servers: Mapping[Cell, Server], *args: object) -> dict[Cell, Sample]:
        assert all(server.subject is cell.subject for cell, server in servers.items())
        assert len({(cell.row, cell.subject.bare) for cell in servers}) == 1
        return {cell: Sample(one._port, 0, 0, 0, 0, 0, 0) for cell, one in servers.items()}

    monkeypatch.setattr(run, "prepare", lambda cells, left_out: cells)
    monkeypatch.setattr(run, "pin", lambda: 0)
    monkeypatch.setattr(run, "RedisServer", NoRedis)
    monkeypatch.setattr(run, "RedisMeter", lambda *args: NoRedis())
    monkeypatch.setattr(run, "run_server", run_server)
    monkeypatch.setattr(run, "measure", measure)
    return starts


PACE = Pace(0.01, 1, 0.01, 0.01)


async def test_each_round_has_processes_of_its_own(started: Starts) -> None:
    """But for Node's, which would have to compile again."""
    cells = select("http-(read|write)-32-80B / (library|express)$")
    samples = await run.run(cells, 3, PACE, LeftOut(), {})
    assert started.count("library") == started.count("bare") == 3
    assert started.count("express") == started.count("express-bare") == 1
    for cell in cells:
        which = {sample.cpu_us for sample in samples[cell]}
        assert len(samples[cell]) == 3
        assert len(which) == (1 if cell.subject.runtime == "node" else 3)


@pytest.mark.parametrize("works", [0, 1, 2])
async def test_a_peer_that_does_not_start_is_left_out(started: Starts, works: int) -> None:
    """Also when it did so at first, for its rounds would be fewer than the others'."""
    cells = select("http-read-32-80B / (library|starlette)$")
    started.works["starlette"] = works
    left_out = LeftOut()
    samples = await run.run(cells, 3, PACE, left_out, {})
    assert set(left_out.reasons) == {"starlette"}
    assert {cell.subject.name for cell in samples} == {"bare", "library", "starlette-bare"}
    assert {len(some) for some in samples.values()} == {3}


async def test_a_profile_is_of_all_rounds(started: Starts, tmp_path: Path) -> None:
    """A process of each round would write over that of the one before."""
    cells = select("http-read-32-80B / library$")
    await run.run(cells, 3, PACE, LeftOut(), {"library": tmp_path / "profile"})
    assert (started.count("library"), started.count("bare")) == (1, 3)


async def test_a_server_of_our_own_that_does_not_start_ends_the_run(started: Starts) -> None:
    """There is nothing to compare then."""
    started.works["library"] = 0
    with pytest.raises(RuntimeError, match="library did not start"):
        await run.run(select("http-read-32-80B / library$"), 1, PACE, LeftOut(), {})


async def test_what_is_compared_is_measured_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A and B and A and B: a busy second of the machine is in both."""
    done: list[str] = []

    def step(name: str) -> Callable[..., Awaitable[Any]]:
        async def noted(self: Measurement, *args: object) -> Any:
            done.append(f"{name} {self.cell.subject.name}")

        return noted

    for name in ("begin", "turn", "end"):
        monkeypatch.setattr(Measurement, name, step(name))
    cells = select("http-read-32-80B / library$")
    servers = {cell: Server(cell.subject, 0) for cell in cells}
    samples = await measure(servers, NoRedis(), Pace(0.1, 3, 0.05, 0))  # type: ignore[arg-type]  # nobody asks it
    assert done == [
        *("begin bare", "begin library"),
        *("turn bare", "turn library") * 3,
        *("end bare", "end library"),
    ]
    assert list(samples) == cells
