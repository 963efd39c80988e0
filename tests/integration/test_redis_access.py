"""What a Redis is reached by: a user of its own, TLS, and a connection that lost count."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from tests.support.processes import ROOT
from tests.support.sites import eventually, raw_redis, session_id, site
from tornado_shared_session import RedisStore, SessionManager
from tornado_shared_session.record import Credential, Meta, Record
from tornado_shared_session.testing import CookieJar, RedisServer

pytestmark = pytest.mark.redis
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


async def test_the_documented_user_of_redis_is_allowed_what_is_needed_and_no_more(
    own_redis: RedisServer, transport: str
) -> None:
    """Login, sockets, the list of a user, a logout; no other key, and no administration (S52)."""
    (line,) = re.findall(r"`ACL (SETUSER sessions .*)`", OPERATIONS)
    async with raw_redis(own_redis.url) as admin:
        await admin.execute_command("ACL", *line.split())  # type: ignore[no-untyped-call]  # redis-py hides its types
        url = own_redis.url.replace("redis://", "redis://sessions:password@")
        async with site(redis=url, prefix="tss:") as a:
            jar = CookieJar()
            assert (await a.http(jar).post("/login", {"user": "ann"})).code == 200
            async with a.client(transport, jar) as client:
                await client.connect()
                assert await client.emit("set", "note", 1) == "saved"
                (info,) = await a.manager.list_user("ann")
                assert (info.id, info.sockets) == (session_id(jar), 1)
                assert a.watcher.health()["notices"]
                assert (await a.manager.destroy_user("ann")).sockets == 1
                await client.wait_transport_closed()
        await admin.set("other:key", "x")
        async with raw_redis(url) as user:
            for refused in (
                ["GET", "other:key"],
                ["SET", "other:key", "y"],
                ["PUBLISH", "other", ""],
                ["CONFIG", "GET", "*"],
                ["ACL", "LIST"],
                ["FLUSHALL"],
                ["KEYS", "other:*"],
            ):
                with pytest.raises(NoPermissionError):
                    await user.execute_command(*refused)  # type: ignore[no-untyped-call]  # redis-py hides its types


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, which is its own authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    made = f"-keyout {tmp_path}/key.pem -out {tmp_path}/cert.pem"
    how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    whose = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    command = [openssl, *f"{how} {whose} {made}".split()]
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path / "cert.pem"


async def test_redis_is_reached_by_tls(certificate: Path, prefix: str) -> None:
    """A `rediss://` URL, and a certificate that is verified (S52)."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    args = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    args += ["--tls-cert-file", str(certificate), "--tls-ca-cert-file", str(certificate)]
    args += ["--tls-key-file", str(certificate.with_name("key.pem"))]
    server = RedisServer(args=args)
    with ExitStack() as stack:
        stack.callback(server.stop)
        try:
            server.start()
        except RuntimeError as error:
            pytest.skip(f"this Redis knows no TLS: {error}")
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        async with site(redis=url, prefix=prefix) as a:
            jar = await a.visitor(note="by TLS")
            assert json.loads((await a.http(jar).get("/note")).body) == "by TLS"
        stranger = RedisStore(f"rediss://127.0.0.1:{port}/0")  # whom nobody has vouched for
        async with SessionManager(stranger) as manager:
            assert (await manager.health())["store"] != "ok"


async def stored(store: RedisStore) -> str:
    """Store an empty record."""
    credential = Credential.generate()
    assert await store.create(Record(Meta(credential.id, credential.digest, 0), 1, 1, 60, {}), 60)
    return credential.id


async def test_a_reply_that_was_left_on_a_connection_goes_to_nobody(
    redis_url: str, prefix: str
) -> None:
    """The pool looks before it hands the connection out (F8, C2)."""
    store = RedisStore(redis_url, prefix=prefix)
    mine, other = await stored(store), await stored(store)
    pool = store._client.connection_pool
    left = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py hides its types
    await left.send_command("HGETALL", f"{prefix}s:{other}")  # whoever asked has gone
    has_come = getattr(left, "can_read", None) or left.can_read_destructive  # before redis-py 8
    await eventually(has_come)
    await pool.release(left)
    record = await store.load(mine)
    assert record is not None
    assert record.meta.id == mine
    await store.close()


def test_our_clients_take_no_maintenance_notifications() -> None:
    """With them on, which is redis-py's default, the pool does not look (F8)."""
    pool = RedisStore("redis://localhost")._client.connection_pool
    enabled = getattr(pool, "maint_notifications_enabled", lambda: False)  # since redis-py 8
    assert not enabled()
