"""The benchmark's figures: paired rounds, scaled bounds, and a file that comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bounds, report, results_file
from benchmarks.bounds import Bound, judge
from benchmarks.figures import Spread, added, ratio
from benchmarks.measure import Sample
from benchmarks.plan import ROWS, Cell, subject
from benchmarks.run import Samples


def cell(row: str, name: str) -> Cell:
    """Return a cell by its names."""
    return Cell(next(r for r in ROWS if r.name == row), subject(name))


def sample(cpu: float, rate: float = 1000.0) -> Sample:
    """Return a sample in which only these matter."""
    return Sample(cpu, 5.0, 2.0, rate, 100.0, 200.0, 50)


READ, LONELY = "http-read-32-80B", "http-read-1-80B"
BARE, OURS = cell(READ, "bare"), cell(READ, "library")
NODE, EXPRESS = cell(READ, "express-bare"), cell(READ, "express")


@pytest.fixture
def samples() -> Samples:
    """Bare takes 240 us in two rounds and 480 in a slow one; we add 40, 20 and 60."""
    return {
        BARE: [sample(240), sample(480), sample(240)],
        OURS: [sample(280, 900), sample(500, 400), sample(300, 800)],
        NODE: [sample(200, 990)] * 3,
        EXPRESS: [sample(400, 600), sample(800, 500), sample(390, 700)],
    }


def test_rounds_are_compared_in_pairs(samples: Samples) -> None:
    """A slow round is in both sides, so it makes no outlier."""
    assert added(samples, OURS) == Spread(40, 20, 60)
    assert ratio(samples, OURS, EXPRESS, lambda s: s.per_second) == Spread(800 / 700, 0.8, 1.5)


def test_microseconds_are_scaled_by_the_bare_framework(samples: Samples) -> None:
    """On a machine half as fast, twice as much may be spent."""
    judged = judge(samples, Bound("added", READ, "library", 25.0), {})
    assert (judged.measured, judged.scaled, judged.holds) == (40, 20, True)
    assert not judge(samples, Bound("added", READ, "library", 19.0), {}).holds
    redis = judge(samples, Bound("redis", READ, "library", 2.0), {})
    assert (redis.measured, redis.scaled, redis.word) == (5, 2.5, "OVER")


def test_waiting_is_scaled_by_the_wait_of_a_lonely_client(samples: Samples) -> None:
    """Of the bare framework, who waited 116 us where the bound was set."""
    bound = Bound("p50", LONELY, "library", 255.0)
    for name, waited in ("bare", 232.0), ("library", 500.0):
        samples[cell(LONELY, name)] = [replace(sample(240), p50_us=waited)]
    judged = judge(samples, bound, {})
    assert (judged.measured, judged.scaled, judged.holds) == (500, 250, True)
    assert "`http-read-1-80B` waits: 232.0 us here, 116 us" in bounds.scales(samples)


def test_ratios_and_commands_are_judged_as_measured(samples: Samples) -> None:
    """They do not depend on how fast the machine is."""
    assert judge(samples, Bound("ratio", READ, "library", 1.1, "express"), {}).holds
    missed = judge(samples, Bound("ratio", READ, "library", 1.2, "express"), {})
    assert (missed.holds, missed.word) == (False, "MISSED")
    assert judge(samples, Bound("commands", READ, "library", 2.0), {}).holds
    assert not judge(samples, Bound("commands", READ, "library", 1.9), {}).holds


def test_what_was_not_measured_does_not_pass_unless_its_peer_was_left_out(
    samples: Samples,
) -> None:
    """Nobody passes by not looking."""
    flask = Bound("ratio", READ, "library", 1.0, "flask")
    assert judge(samples, flask, {}).word == "MISSING"
    assert not judge(samples, flask, {}).holds
    excused = judge(samples, flask, {"flask": "no network"})
    assert (excused.holds, excused.word) == (True, "LEFT OUT")
    passed, text = bounds.verdict(samples, {"flask": "no network"})
    assert not passed
    assert "| no network |" in text
    assert "| MISSING | `http-write-32-80B` |" in text


def test_each_bound_is_on_a_cell_that_is_measured() -> None:
    """A bound with a typing error would be excused or missing for ever."""
    for bound in bounds.BOUNDS:
        found = cell(bound.row, bound.subject)
        names = {subject(bound.subject), subject(bound.peer or found.subject.base)}
        assert {s.family for s in names} == {found.row.family}
        assert found.row.peers or not any(s.needs for s in names)


def test_a_run_comes_back_from_its_file(samples: Samples, tmp_path: Path) -> None:
    """And the tables made of it are the same."""
    results = results_file.Results("now", {"cpu": "one"}, 3, {"flask": "why"}, samples)
    results_file.write(results, tmp_path / "run.json")
    again = results_file.read(tmp_path / "run.json")
    assert again == results
    assert report.table(again.samples) == report.table(samples)


def test_the_table_tells_what_is_added_and_compares_with_this_library(samples: Samples) -> None:
    """One line for each subject."""
    lines = report.table(samples).splitlines()
    assert lines[0] == f"**{READ}**"
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert "| **40.0 us** | 20.0 to 60.0 |" in next(x for x in lines if "this library" in x)
