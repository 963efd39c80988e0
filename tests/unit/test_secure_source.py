"""What can be read off the source: how secrets are made and compared, and what is never called."""

from __future__ import annotations

import ast
import hmac
import random
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT
from tornado_shared_session.record import Credential, Meta, Record, Verdict

PACKAGE = ROOT / "tornado_shared_session"
SHIPPED = [path for path in PACKAGE.rglob("*.py") if "testing" not in path.parts]
EXECUTE = {"pickle", "cPickle", "marshal", "shelve", "dill", "yaml", "jsonpickle", "subprocess"}


def names(path: Path) -> Iterator[str]:
    """Yield each module that a file imports, and each function that it calls by name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_credentials_come_from_the_systems_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen bytes for the id, 32 for the secret; what `random` gives has no part in it
    (S1, V7.2.3).
    """
    asked: list[int | None] = []
    real = secrets.token_urlsafe

    def noted(size: int | None = None) -> str:
        asked.append(size)
        return real(size)

    monkeypatch.setattr(secrets, "token_urlsafe", noted)
    made = []
    for _ in range(2):
        random.seed(1)
        made.append(Credential.generate())
    assert asked == [16, 32] * 2
    assert made[0].id != made[1].id
    assert made[0].secret != made[1].secret


def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The present one and each replaced one, whatever the verdict (S8)."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def noted(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return bool(real(one, other))

    monkeypatch.setattr(hmac, "compare_digest", noted)
    now, *old = (Credential.generate() for _ in range(3))
    meta = Meta(now.id, now.digest, 0.0, None, tuple((one.digest, 0.0) for one in old))
    record = Record(meta, 1, 1, 60, {})
    assert record.judge(now, 1, 60) is Verdict.LIVE
    assert compared == [(now.digest, now.digest)]
    for shown, verdict in ((old[0], Verdict.SUPERSEDED), (Credential.generate(), Verdict.UNKNOWN)):
        compared.clear()
        assert record.judge(shown, 1, 60) is verdict
        assert compared == [(shown.digest, one.digest) for one in (now, *old)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_that_was_stored_or_sent_is_executed(path: Path) -> None:
    """No pickle and its like, no eval, no exec, no import by a name (S45, W17)."""
    used = set(names(path))
    assert not used & {*EXECUTE, "eval", "exec", "__import__", "compile"}
    assert not {name for name in used if name.endswith((".loads", ".import_module"))} - {
        "json.loads"
    }


def test_no_periodic_callback_is_relied_on() -> None:
    """It counts by the wall clock, and is no more once its callback hangs (T17, T18)."""
    assert [path.name for path in SHIPPED if "PeriodicCallback" in names(path)] == []


def pins(text: str, sign: str) -> dict[str, tuple[int, ...]]:
    """Return the versions that follow a sign."""
    found = re.findall(rf"^\W*([A-Za-z-]+)(?:\[\w+\])?{sign}([\d.]+)", text, re.MULTILINE)
    return {name.lower(): tuple(map(int, version.split("."))) for name, version in found}


def test_the_oldest_versions_allowed_are_those_that_are_tested() -> None:
    """`make test-oldest` runs on them; msgpack 1.2.1 closed a hole (C15, W25)."""
    allowed = pins((ROOT / "setup.py").read_text(), ">=")
    tested = pins((ROOT / "tests" / "oldest.txt").read_text(), "==")
    assert allowed["msgpack"] >= (1, 2, 1)
    needed = ("tornado", "python-socketio", "python-engineio", "redis", "msgpack", "sqlalchemy")
    for name in needed:
        length = len(allowed[name])
        assert tested[name][:length] == allowed[name], name
        assert not any(tested[name][length:]), name


def test_sockets_are_tested_on_every_transport() -> None:
    """Each file about them has such tests, and most of all of their tests are (T26)."""
    total = on_each = 0
    for path in sorted((ROOT / "tests" / "integration").glob("test_socket_*.py")):
        functions = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")
        ]
        varied = [
            one for one in functions if {"transport", "kind"} & {arg.arg for arg in one.args.args}
        ]
        assert varied, path.name
        total, on_each = total + len(functions), on_each + len(varied)
    assert total > 100
    assert on_each / total > 0.7
