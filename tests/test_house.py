"""The house rules: which way imports point, what is public, how long files are."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tornado_shared_session
from tornado_shared_session import testing
from tornado_shared_session.stores import sql
from tornado_shared_session.testing import store_contract

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tornado_shared_session"

#: A module imports only from those above it. A package counts as one.
ORDER = """
    constants
    errors forks events limits serializers mapping record devices known rooms stored session policy
    signing credentials tokens origins stores parts notices connections questions lifecycle users
    rotation saving transactions manager settings liveness deadlines channel agenda watcher
    token_state queues closings websocket_line transport ending handshake payload frames endpoint
    socketio_handlers socketio_admission socketio_packets socketio_authenticated
    socketio_expiring socketio_gate socketio_rooms
    socketio_switch socketio_tokens socketio_wire socketio_express socketio_sessions socketio
    attributes response_held response carrier early autosave streaming web websocket_close websocket
    cors serving draining cli __main__ testing
""".split()  # noqa: SIM905  # a table to be read

#: The documented public names.
PUBLIC = """
    SessionManager Session SessionMixin SessionServer SessionServerMixin get_tornado_handler
    SessionWebSocketMixin CORSMixin
    RedisStore MemoryStore SignedCookie MsgpackSerializer SessionEvent
    SessionError ConfigurationError StoreError SerializationError SessionConflict SessionEnded
    Store Credentials Serializer authenticated BearerToken drain
""".split()  # noqa: SIM905  # a table to be read


def sources(*folders: str) -> list[Path]:
    """Return the Python files below some folders."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert found
    return [path for path in found if "__pycache__" not in path.parts]


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of each module that a file of the package imports from."""
    folder = ["tornado_shared_session", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if node.module:
                yield name
            else:
                yield from (f"{name}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    """Return the name that a file has in ORDER."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def ours(path: Path) -> set[str]:
    """Return which of our modules a file imports, as they are named in ORDER."""
    names = [name.split(".") for name in imports(path)]
    return {name[1] for name in names if name[0] == "tornado_shared_session" and len(name) > 1}


def test_every_module_has_its_place() -> None:
    """A new one is entered into ORDER, which is read from top to bottom."""
    assert {module_of(path) for path in sources("tornado_shared_session")} == {*ORDER, "__init__"}
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("module", ORDER)
def test_imports_point_one_way(module: str) -> None:
    """From the bottom of the list to its top, also for types only."""
    above = set(ORDER[: ORDER.index(module)]) | ({module} & {"stores", "testing"})
    for path in sources("tornado_shared_session"):
        if module_of(path) == module:
            assert ours(path) <= above, path.name


def reachable(module: str) -> set[str]:
    """Return a module and all that it imports, directly or not."""
    found, todo = set[str](), {module}
    while todo:
        found |= todo
        files = [path for path in sources("tornado_shared_session") if module_of(path) in todo]
        todo = {name for path in files for name in ours(path)} - found
    return found


def test_web_and_socketio_do_not_know_each_other() -> None:
    """One may be used without the other."""
    assert not {"web", "response"} & reachable("socketio")
    assert not {name for name in reachable("web") if name.startswith("socketio")}
    assert not {"transport", "ending", "handshake", "endpoint"} & reachable("web")


@pytest.mark.parametrize(
    ("library", "files"),
    [
        ("redis", r"stores/redis\w*\.py"),
        ("hiredis", r"stores/redis\w*\.py"),
        ("sqlalchemy", r"stores/sql\w*\.py"),
        ("greenlet", r"stores/sql\.py"),
        ("socketio", r"socketio\w*\.py"),
        ("engineio", r"(socketio\w*|transport|ending)\.py"),
        (
            "tornado",
            r"(signing|credentials|tokens|origins|transport|ending|handshake|frames|endpoint|socketio(_tokens)?"
            r"|response(_held)?|web|settings|streaming|websocket\w*|cors|serving|draining)\.py",
        ),
        ("pytest", r"(?!)"),
    ],
)
def test_each_library_is_known_in_few_places(library: str, files: str) -> None:
    """The rest of the code would not notice another one in its place."""
    for path in sources("tornado_shared_session"):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith("testing/") and not re.fullmatch(files, name):
            assert library not in {module.split(".")[0] for module in imports(path)}, name


@pytest.mark.parametrize(
    ("folder", "most"), [("tornado_shared_session", 300), ("tests", 300), ("examples", 100)]
)
def test_files_are_short(folder: str, most: int) -> None:
    """A reader takes one in at a time."""
    files = [path for path in sources(folder) if path.parent.name != "demo"]
    long = {path.name: len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > most} == {}


# -- what is public -----------------------------------------------------------------


def test_the_public_names_are_the_documented_public_names() -> None:
    """No more, and each of them is there."""
    assert sorted(tornado_shared_session.__all__) == sorted(PUBLIC)
    assert all(hasattr(tornado_shared_session, name) for name in PUBLIC)
    assert all(hasattr(testing, name) for name in testing.__all__)


@pytest.mark.parametrize("name", [*PUBLIC, "SQLStore"])
def test_every_public_name_is_in_the_documentation(name: str) -> None:
    """In the README or in a page of docs/."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(re.search(rf"\b{name}\b", page.read_text()) for page in pages)


def public_objects() -> list[tuple[str, Any]]:
    """Return what users may call, with its name."""
    found: list[tuple[str, Any]] = []
    names = [(tornado_shared_session, name) for name in tornado_shared_session.__all__]
    names += [(testing, name) for name in testing.__all__]
    more = [(store_contract, "StoreContract"), (sql, "SQLStore")]
    for owner, name in [*names, *more]:
        thing = getattr(owner, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):  # not a type alias
            found.append((name, thing))
        for key, value in vars(thing).items() if inspect.isclass(thing) else ():
            value = value.fget if isinstance(value, property) else value
            value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            if not key.startswith("_") and inspect.isfunction(value):
                found.append((f"{name}.{key}", value))
    return found


#: Hooks of python-socketio, Tornado and Store, documented where they come from.
INHERITED = re.compile(r"(MemoryStore|RedisStore|SQLStore)\.|_handle|_trigger|_send")


@pytest.mark.parametrize(
    ("name", "thing"), [pytest.param(*pair, id=pair[0]) for pair in public_objects()]
)
def test_what_is_public_is_documented_and_typed(name: str, thing: Any) -> None:
    """Each class and function has a docstring, each argument and result a type."""
    owner, _, key = name.partition(".")
    document = inspect.getdoc(thing)
    if key and not document and INHERITED.search(name):
        cls = getattr(tornado_shared_session, owner, sql.SQLStore)
        document = inspect.getdoc(getattr(cls, key))
    assert document, name
    if inspect.isfunction(thing):
        signature = inspect.signature(thing)
        untyped = [
            parameter.name
            for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
        ]
        assert not untyped
        assert signature.return_annotation is not signature.empty


def test_the_package_says_that_it_is_typed() -> None:
    """Type checkers look for this file."""
    assert (PACKAGE / "py.typed").exists()


# -- how tests are written --------------------------------------------------------------


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_test_says_in_a_sentence_what_holds() -> None:
    """A docstring, and a name of its own in its file."""
    for path in [*sources("tests"), PACKAGE / "testing/store_contract.py"]:
        names = [node.name for node in functions(path) if node.name.startswith("test_")]
        assert len(names) == len(set(names)), path
        for node in functions(path):
            assert not node.name.startswith("test_") or ast.get_docstring(node), (path, node.name)


def waits_for_something(tree: ast.AST) -> set[ast.AST]:
    """Return what stands inside `while condition:`, which a timeout surrounds."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While)]
    return {
        inner
        for loop in loops
        if not isinstance(loop.test, ast.Constant)
        for inner in ast.walk(loop)
    }


def test_no_test_sleeps_without_saying_why() -> None:
    """Between two looks at a condition; else a comment says why time itself is meant.

    sleep(0) is a turn of the loop, not a wait.
    """
    bare = []
    for path in sources("tests"):
        if path.name.startswith("test_"):
            lines, tree = ["", *path.read_text().splitlines()], ast.parse(path.read_text())
            fine = waits_for_something(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("sleep"):
                    said = "#" in lines[node.lineno] or "# " in lines[node.lineno - 1]
                    if node not in fine and ast.unparse(node) != "asyncio.sleep(0)" and not said:
                        bare.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not bare
