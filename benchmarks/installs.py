"""Brings the peers onto this machine, below ``.cache/bench/``.

Each kind has a folder and a file of exact versions; a folder is made
anew when its file changes. Nothing here touches the environment that
the library is tested in.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "bench"
PINS = Path(__file__).parent / "peers"
PATIENCE = 300.0
"""How many seconds an installer may take."""

FILES = {"uvloop": "uvloop.txt", "python": "requirements.txt", "node": "package.json"}


class InstallError(Exception):
    """Something could not be installed; the message says why, in a line."""


def folder(kind: str) -> Path:
    """Return where a kind of peer is."""
    return CACHE / kind


def install(kind: str) -> None:
    """Install a kind of peer unless that has been done.

    Raises:
        InstallError: it could not be.
    """
    target, pins = folder(kind), PINS / FILES[kind]
    ready = target / ".ready"
    wanted = f"{sys.version}\n{pins.read_text()}"
    if ready.exists() and ready.read_text() == wanted:
        return
    print(f"installing {pins.relative_to(ROOT)} into {target} ...", file=sys.stderr)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if kind == "node":
        shutil.copy(pins, target)
        _run(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"], target)
    elif kind == "python":
        _run([sys.executable, "-m", "venv", "--without-pip", str(target)], ROOT)
        _run([*_pip(), "--python", str(target / "bin" / "python"), *_requirements(pins)], ROOT)
    else:
        _run([*_pip(), *_requirements(pins), "--target", str(target)], ROOT)
    ready.write_text(wanted)


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def _requirements(pins: Path) -> list[str]:
    return ["install", "--requirement", str(pins)]


def _run(command: list[str], cwd: Path) -> None:
    try:
        subprocess.run(
            command, cwd=cwd, check=True, text=True, capture_output=True, timeout=PATIENCE
        )
    except FileNotFoundError as error:
        raise InstallError(f"{command[0]} was not found") from error
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"{command[0]} took longer than {PATIENCE:.0f} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        raise InstallError(lines[-1] if lines else f"{command[0]} failed") from error
