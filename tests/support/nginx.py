"""A private nginx with the configuration of a page of the documentation.

    async with Nginx(tmp_path, configuration, ports=[8001, 8002]) as nginx:
        await HTTPTestClient(nginx.url).get("/")

It serves the page's own TLS on one port, and the same without TLS on
another, for clients that cannot be told to trust a certificate.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from tornado_shared_session.testing.redis_server import tied_to_parent

from .programs import free_port, listening
from .ran import PROGRAMS

FRAME = """
daemon off;
master_process off;
worker_processes 1;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{configuration}
}}
"""


class Nginx:
    """One running nginx; `configuration` goes into its http block."""

    def __init__(self, folder: Path, configuration: str, *, ports: Sequence[int]) -> None:
        self.folder = folder
        self.configuration = configuration
        self.ports = ports
        self.port, self.tls_port = free_port(), free_port()
        self._ended: asyncio.Task[tuple[bytes, bytes]] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it serves without TLS."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it serves with TLS, and a certificate that nobody trusts."""
        return f"https://127.0.0.1:{self.tls_port}"

    async def __aenter__(self) -> Self:
        binary, openssl = _find("nginx", "nginx-light"), _find("openssl", "openssl")
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        made = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=app.example -keyout {key}"
        await _run(openssl, *made.split(), "-out", str(certificate))
        plain = f"listen 127.0.0.1:{self.port};"
        there = {
            "127.0.0.1:8001": f"127.0.0.1:{self.ports[0]}",
            "127.0.0.1:8002": f"127.0.0.1:{self.ports[1]}",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.tls_port} ssl; {plain}",
            "/etc/ssl/app.example.pem": str(certificate),
            "/etc/ssl/app.example.key": str(key),
        }
        configuration = self.configuration
        for ours, real in there.items():
            assert configuration.count(ours) == 1, ours
            configuration = configuration.replace(ours, real)
        path = self.folder / "nginx.conf"
        path.write_text(FRAME.format(folder=self.folder, configuration=configuration))
        command = (binary, "-p", str(self.folder), "-c", str(path))
        await _run(*command, "-t")
        version = re.search(r"nginx/(\S+)", await _run(binary, "-v"))
        PROGRAMS["nginx"] = version[1] if version else "?"
        self._process = await asyncio.create_subprocess_exec(
            *tied_to_parent(command), stderr=asyncio.subprocess.PIPE
        )
        self._ended = asyncio.create_task(self._process.communicate())
        await listening(self.port, self._ended)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process is not None
        assert self._ended is not None
        if self._process.returncode is None:
            self._process.terminate()
        await asyncio.wait_for(self._ended, 10)


def _find(name: str, package: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"no {name}: apt install {package}")
    return found


async def _run(*command: str) -> str:
    """Run something to its end; return what it said.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(output.decode())
    return output.decode()
