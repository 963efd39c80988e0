"""The benchmark measures what really works: a wrong answer or counter fails it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tornado_shared_session.testing.redis_server import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.redis]
SUBJECT = "benchmarks/subjects/library.py"
READ_EVENT = 'int((await sio.get_session(sid))["count"])'


def measure(folder: Path, only: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Measure some cells of the copy in a folder, once."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--rounds", "1", "--only", only]
    return subprocess.run(
        [*command, "--json", "run.json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)} | env,
        text=True,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the library and its benchmark, to be spoilt."""
    for name in ("benchmarks", "tornado_shared_session"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("results"))
    (tmp_path / "benchmarks" / "results").mkdir()
    return tmp_path


def test_each_figure_is_of_what_the_row_does(copy: Path) -> None:
    """An untouched session costs no command, a read some, a write more, and all take time."""
    rows = "http-(cookieless|read|write)-1|connect-1|event-write-1"
    done = measure(copy, f"({rows})(-80B)? / (library|sio-event)$")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| this library") == 5
    cells = json.loads((copy / "run.json").read_text())["cells"]
    for cell in cells:
        assert cell["cpu_us"][0] > 1
        assert 0 < cell["p50_us"][0] <= cell["p99_us"][0]
        assert cell["operations"][0] > 1
    asked = {c["row"]: c["commands"][0] for c in cells if "bare" not in c["subject"]}
    assert asked["http-cookieless-1"] < 0.5 < asked["http-read-1-80B"] < asked["http-write-1-80B"]
    assert min(asked["connect-1-80B"], asked["event-write-1-80B"]) > 0.5
    assert all(c["commands"][0] < 0.5 for c in cells if "bare" in c["subject"])


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        (
            "http-write-1-80B / library",
            'str(self.session["count"])',
            'str(self.session.pop("count"))',
        ),
        ("http-write-1-80B / library", "self.write(str(", 'self.write("1" + str('),
        ("http-cookieless-1 / library", "str(SEED_COUNT)", '"6"'),
        ("event-read-1-80B / sio-interval", READ_EVENT, f"1 + {READ_EVENT}"),
        ("connect-1-80B / sio-event", READ_EVENT, f"1 + {READ_EVENT}"),
    ],
    ids=["lost save", "wrong body", "wrong plain body", "wrong event", "somebody else's socket"],
)
def test_what_is_wrong_fails_the_benchmark(copy: Path, cell: str, old: str, new: str) -> None:
    """The run ends with an error that names the row."""
    source = (copy / SUBJECT).read_text()
    assert old in source
    (copy / SUBJECT).write_text(source.replace(old, new))
    wrong = measure(copy, f"{cell}$")
    assert wrong.returncode == 1
    assert f"FAILED: {cell}: " in wrong.stderr
    assert not (copy / "run.json").exists()


def test_a_peer_that_cannot_be_had_is_left_out(copy: Path) -> None:
    """With a line that says so, in the output and in the file; the others are measured."""
    tools = copy / "tools"
    tools.mkdir()
    (tools / "redis-server").symlink_to(RedisServer.find_binary() or "")
    done = measure(copy, "http-read-1-80B / (library|express)$", PATH=str(tools))
    assert done.returncode == 0, done.stderr
    assert "left out: bare Express: npm was not found" in done.stderr
    content = json.loads((copy / "run.json").read_text())
    assert content["left_out"]["express"] == "npm was not found"
    assert [cell["subject"] for cell in content["cells"]] == ["bare", "library"]
