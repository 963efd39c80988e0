"""The benchmark of open sockets measures what really works, and shows what it found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.live import growth, plots
from benchmarks.live.figures import Figure, percentile, shown, table, verdict
from benchmarks.live.runner import PARTS, select
from tests.support.node_client import require_node
from tests.support.processes import ROOT


def measure(folder: Path, part: str) -> subprocess.CompletedProcess[str]:
    """Measure one part of the copy in a folder."""
    command = [sys.executable, "-m", "benchmarks.live", "--quick", "--only", part]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, timeout=90)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the library and its benchmark, to be spoilt."""
    require_node()
    for name in ("benchmarks", "tornado_shared_session"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("results"))
    (tmp_path / ".cache").symlink_to(ROOT / ".cache")
    return tmp_path


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.node
def test_ends_are_measured(copy: Path) -> None:
    """As it is, the run passes and shows the figures."""
    run = measure(copy, "ends-one")
    assert run.returncode == 0, run.stderr
    assert "the client of B has closed, p99" in run.stdout


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.node
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "if not await self._manager.destroy(id)",
            "if not await self._manager.store.delete(id)",
            0,
        ),
        ("if not await self._manager.destroy(id)", "if not self._manager.connections", 1),
        ("await self._manager.store.peek(ids))", "[1])", 2),
    ],
    ids=["nobody is told", "nothing is ended", "a session is left"],
)
def test_ends_that_are_none_fail_the_benchmark(copy: Path, old: str, new: str, says: int) -> None:
    """What is measured is that sockets close: where they do not, the run fails and says so."""
    file = copy / "benchmarks" / "live" / "servers" / "ours.py"
    source = file.read_text()
    assert source.count(old) == 1
    file.write_text(source.replace(old, new))
    run = measure(copy, "ends-one")
    assert run.returncode == 1
    assert ("were not closed", "no session to end", "still stored")[says] in run.stderr


def test_a_pattern_chooses_parts() -> None:
    """Each part has a name; what matches none, or is no pattern, is an error."""
    assert select("") == PARTS
    assert list(select("^growth-keys")) == ["growth-keys"]
    for wrong in ("nothing like it", "("):
        with pytest.raises(ValueError, match="--only"):
            select(wrong)


def test_the_table_and_the_verdict_name_what_is_over() -> None:
    """A figure at its bound holds, one above does not, and no bounds do not pass."""
    at = Figure("ends/at", "at the bound", "ms", 1.5, (), 1.5)
    over = Figure("memory/over", "above it", "KiB", 2.51, (), 2.5, "a note")
    free = Figure("memory/free", "no bound", "KiB", 12345.6, ())
    assert verdict([at, free])[0]
    passed, text = verdict([at, over])
    assert not passed
    assert "- OVER: memory/over: 2.51 KiB, at most 2.50 KiB" in text
    assert not verdict([free])[0]
    lines = table([at, over, free]).splitlines()
    assert "| above it | **2.51 KiB** | OVER <= 2.50 KiB | a note |" in lines
    assert "| no bound | 12,346 KiB |  |  |" in lines
    assert lines[0] == "**ends**"
    assert "**memory**" in lines


def test_time_that_a_processor_takes_is_judged_as_on_the_machine_of_the_bounds() -> None:
    """Memory, and waiting for a timer, are the same on all."""
    slow = Figure("ends/slow", "a time", "ms", 1.8, (), 1.5, scales=True)
    over = Figure("memory/over", "above it", "KiB", 2.51, (), 2.5)
    assert not verdict([slow])[0]
    assert verdict([slow], 0.8)[0]
    assert not verdict([over], 0.8)[0]
    assert "| a time | **1.80 ms**, scaled 1.44 | <= 1.50 ms |  |" in table([slow], 0.8)


def test_a_percentile_is_one_of_the_values() -> None:
    """p50 and p99 of a hundred are the 51st and the last, and of one the one."""
    hundred = [float(number) for number in range(100, 0, -1)]
    assert percentile(hundred, 0.5) == 51
    assert percentile(hundred, 0.99) == 100
    assert percentile([7.0], 0.99) == 7
    assert [shown(value) for value in (0, 0.123, 12.34, 1234.5)] == ["0", "0.12", "12.3", "1,234"]


def figures() -> list[Figure]:
    """What a run might have found."""
    times = tuple(1 + number / 100 for number in range(300))
    found = [
        Figure("ends/one/p50", "closed", "ms", 2.5, times, 1.5),
        Figure("ends/one/p99", "closed", "ms", 4.0, times, 10),
        Figure("ends/guide/p50", "timer", "ms", 15_000, tuple(1e4 * one for one in times)),
    ]
    for name, unit in (("load", "us"), ("change", "us"), ("reload", "ms"), ("end-all", "ms")):
        costs = {size: [size / 7, size / 5] for size in growth.SOCKETS}
        found += growth.series(name, name, unit, costs, "a note")
    return found


def test_growth_is_the_greatest_of_the_steps() -> None:
    """The least at each size counts, and a step that costs more than its size is over."""
    costs = {10: [1.0, 5.0], 100: [2.0, 9.0], 1_000: [50.0]}
    *sizes, step = growth.series("load", "load", "us", costs, "")
    assert [(one.name, one.value) for one in sizes] == [
        ("growth/load/10", 1.0),
        ("growth/load/100", 2.0),
        ("growth/load/1000", 50.0),
    ]
    assert step.name == "growth/load/step"
    assert step.samples == (2.0, 25.0)
    assert not step.holds()


def test_pictures_have_axes_units_and_names(tmp_path: Path) -> None:
    """Each is valid SVG without a background, and says what is on it."""
    written = plots.write(figures(), tmp_path)
    assert [path.name for path in written] == ["live-ends.svg", "live-growth.svg"]
    texts = []
    for path in written:
        root = ElementTree.fromstring(path.read_text())
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        texts.append(
            {"".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")}
        )
        assert not [node for node in root.iter() if node.tag.endswith("rect")]
        for node in root.iter():
            for name, most in (("x", width), ("cx", width), ("y", height), ("cy", height)):
                assert 0 <= float(node.attrib.get(name, 0)) <= most
    assert {"share of ends", "bound of p50: 1.50 ms", "the client has closed"} <= texts[0]
    assert "time since destroy() in another process, ms" in texts[0]
    assert {"sessions with a connection", "ms", "us", "linear", "10,000"} <= texts[1]
    assert plots.write([], tmp_path) == []
