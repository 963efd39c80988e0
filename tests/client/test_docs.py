"""The pages of the documentation: their links, their code, and what they promise in passing."""

from __future__ import annotations

import ast
import importlib
import re
import types
from pathlib import Path
from typing import Any

import pytest
import tornado.web
from tornado.web import create_signed_value

from tests.support.processes import ROOT
from tests.support.programs import blocks
from tornado_shared_session import MemoryStore, SessionManager, get_tornado_handler
from tornado_shared_session.testing import HTTPTestClient, SocketIOTestClient, serve

PAGES = [
    ROOT / "README.md",
    ROOT / "examples" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
HOWTO = sorted((ROOT / "docs" / "howto").glob("*.md"))
OURS = "tornado_shared_session"


def name_of(path: Path) -> str:
    """Return what a page is called in a report."""
    return path.relative_to(ROOT).as_posix()


# -- links ---------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, as they are made on the web."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_in_the_documents_leads_somewhere(page: Path) -> None:
    """To a file of the project, and to a heading that it has."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, fragment = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), target
        assert not fragment or fragment in anchors(there), target


def test_every_howto_page_is_reached_from_the_readme() -> None:
    """By a link of its own."""
    readme = (ROOT / "README.md").read_text()
    assert HOWTO
    assert [page.name for page in HOWTO if f"(docs/howto/{page.name})" not in readme] == []


def test_a_long_page_begins_with_its_headings() -> None:
    """All of them, in their order, each a link; else nobody finds the one in the middle."""
    long = [page for page in PAGES if len(page.read_text().splitlines()) > 200]
    assert long
    for page in long:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        _, _, index = text.partition("On this page: ")
        listed = re.findall(r"\[([^]]+)\]\(#", index.partition("\n\n")[0])
        assert listed == re.findall(r"^## (.*)", text, re.MULTILINE), name_of(page)


# -- code ----------------------------------------------------------------------------


def code() -> list[Any]:
    """Return each block of Python in the how-to pages."""
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in HOWTO
        for number, block in enumerate(blocks(page.read_text(), "python"))
    ]


@pytest.mark.parametrize("block", code())
def test_every_block_compiles_and_finds_what_it_imports_from_us(block: str) -> None:
    """So that a name that changes changes on its page too."""
    tree = ast.parse(block)
    compile(tree, "block", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == OURS:
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                assert hasattr(module, alias.name), alias.name


@pytest.mark.parametrize("page", HOWTO, ids=name_of)
def test_a_page_is_short_and_shows_code(page: Path) -> None:
    """Two screens at most, or it is two pages."""
    text = page.read_text()
    assert blocks(text, "python")
    assert len(text.splitlines()) <= 140


def test_each_example_is_in_the_table_and_small() -> None:
    """With the command that starts it; at most a hundred lines."""
    table = (ROOT / "examples" / "README.md").read_text()
    examples = sorted((ROOT / "examples").glob("[!_]*.py"))
    assert examples
    for path in examples:
        source = path.read_text()
        assert f"examples/{path.name}`" in table
        assert f"python examples/{path.name}" in source
        assert len(source.splitlines()) <= 100


# -- what pages say in passing ---------------------------------------------------------


def run_block(name: str, number: int) -> types.SimpleNamespace:
    """Run one block of a how-to page, on sessions in memory; return its names."""
    source = blocks((ROOT / "docs" / "howto" / name).read_text(), "python")[number]
    source = source.replace('RedisStore("redis://localhost:6379/0")', "MemoryStore()")
    names: dict[str, Any] = {"MemoryStore": MemoryStore}
    exec(compile(source, name, "exec"), names)
    return types.SimpleNamespace(**names)


async def test_who_has_an_old_signed_cookie_is_logged_in_once() -> None:
    """And the old cookie goes, so that the logout is one."""
    page = run_block("coming-from-signed-cookies.md", 1)

    class Home(page.BaseHandler):  # type: ignore[misc,name-defined]  # its base is untyped
        def get(self) -> None:
            self.write(self.current_user or "nobody")

        async def post(self) -> None:
            await self.session.destroy()

    async with SessionManager(MemoryStore()) as sessions:
        app = tornado.web.Application([("/", Home)], cookie_secret="x", session_manager=sessions)
        async with serve(app) as server:
            old = create_signed_value("x", "user", "ada").decode()
            visitor = HTTPTestClient(server.url, cookies={"user": old})
            assert (await visitor.get("/")).body == b"ada"
            assert list(visitor.cookies) == ["session"]
            await visitor.post("/")
            assert (await visitor.get("/")).body == b"nobody"
            forged = HTTPTestClient(server.url, cookies={"user": old[:-1] + "x"})
            assert (await forged.get("/")).body == b"nobody"


async def test_what_belongs_to_a_connection_is_there_until_its_disconnect_handler(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The page for those who come from python-socketio's session prints how long it stayed."""
    page = run_block("coming-from-sio-session.md", 0)
    async with page.sessions:
        app = tornado.web.Application(
            [("/socket.io/", get_tornado_handler(page.sio))], cookie_secret="x"
        )
        async with serve(app) as server:
            async with SocketIOTestClient(server.url) as client:
                await client.connect()
                await client.emit("rename", "Ada")
                ((sid, session),) = await page.sio.online()
                assert session["name"] == "Ada"
                assert page.sio.local(sid).keys() == {"since"}
                await client.disconnect()
                await client.connect()  # the answer comes after the handler has run
            assert capsys.readouterr().out.startswith("stayed for ")
