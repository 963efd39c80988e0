"""How each kind of subject is started: the command and its environment."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from .content import SIZES, seed
from .installs import PINS, ROOT, folder
from .plan import Subject


@dataclass(frozen=True)
class Command:
    """What to execute, and with what environment."""

    arguments: list[str]
    environment: dict[str, str]


def command(subject: Subject, redis_url: str, core: int, profile: Path | None) -> Command:
    """Return how to start a subject on that core.

    Whatever the language, it prints its port on a line and serves until
    its standard input closes.
    """
    environment = dict(os.environ)
    if subject.runtime == "own":
        arguments = [sys.executable, "-m", "benchmarks.server", subject.factory, redis_url]
        arguments += [str(core), "--loop", subject.loop]
        if profile is not None:
            arguments += ["--profile", str(profile)]
        if subject.loop == "uvloop":
            paths = [str(folder("uvloop")), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        return Command(arguments, environment)
    module, function = subject.factory.split(":")
    pinned = ["taskset", "--cpu-list", str(core)]  # it replaces itself by the peer
    if subject.runtime == "python":
        environment["PYTHONPATH"] = str(ROOT)
        python = [str(folder("python") / "bin" / "python"), "-m"]
        if module == "flask_app":
            return Command(
                [*pinned, *python, "benchmarks.peers.flask_app", function, redis_url], environment
            )
        server = [*python, "benchmarks.peers.serve", subject.factory, redis_url, subject.loop]
        return Command([*pinned, *server], environment)
    environment["NODE_ENV"] = "production"
    environment["SEEDS"] = json.dumps({size: seed(size) for size in SIZES})
    # A module finds its packages beside itself, so it runs from a copy there.
    script = folder("node") / f"{module}.mjs"
    script.write_text((PINS / script.name).read_text())
    return Command([*pinned, "node", str(script), function, redis_url], environment)
