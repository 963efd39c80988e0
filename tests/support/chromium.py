"""The Chromium process: `browser.py` talks to it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from tornado_shared_session.testing.redis_server import tied_to_parent

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-first-run",
    "--no-default-browser-check",
    # What is throttled in the background would look like a slow server.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Return the path of a Chromium on PATH."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Chromium:
    """The process; slow to start, so one serves the whole run."""

    def __init__(self) -> None:
        self.address = ""
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start Chromium, or skip the test when there is none."""
        binary = find_chromium()
        if binary is None:
            pytest.skip("no Chromium: apt install chromium")
        self._directory = tempfile.TemporaryDirectory(
            prefix="tss-chromium-", ignore_cleanup_errors=True
        )
        folder = Path(self._directory.name)
        command = [binary, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        with (folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                tied_to_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self.address = self._wait_address(folder)

    def _wait_address(self, folder: Path) -> str:
        assert self._process is not None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError, ValueError):
                port, path = (folder / "DevToolsActivePort").read_text().split()
                return f"ws://127.0.0.1:{port}{path}"
            time.sleep(0.01)  # the file announces itself nowhere
        log = (folder / "stderr").read_text(errors="replace")[-4000:]
        self.stop()
        raise RuntimeError(f"Chromium did not start:\n{log}")

    def stop(self) -> None:
        """End Chromium and remove its files."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
