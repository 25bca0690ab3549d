"""Connections that send nothing, little or too much, and many of them, cost the server little."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import HTTPException

from centerx.serve import protocol, tls
from centerx.serve.protocol import Connection, LoopErrors, most_connections
from centerx.serve.tls import CIPHERS, Loop
from centerx.serve.upload import Budget

ANSWER = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


async def read_all(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(1_000_000)})
        return
    while scope["path"] != "/early" and (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def served(most: int = 20, pem: Path | None = None) -> Iterator[tuple[uvicorn.Server, int]]:
    config = uvicorn.Config(
        read_all, port=0, http=Connection.limited(most), ws="none", log_level="error", lifespan="off",
        ssl_certfile=pem and pem / "cert.pem", ssl_keyfile=pem and pem / "key.pem", ssl_ciphers=CIPHERS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(server.serve([listener]))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server, listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port))
    made.settimeout(5)
    return made


def read_to_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(10_000), b""))


def ended(connection: socket.socket) -> bool:
    """Whether the server closed a connection; waits for it."""
    try:
        while connection.recv(1000):
            pass
        return True
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nx: "])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_head_must_end_in_time(sent: bytes, earlier: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    with served() as (_, port), connect(port) as silent:
        if earlier:
            silent.sendall(ANSWER)
            assert b"200 OK" in silent.recv(1000)
        silent.sendall(sent or (ANSWER[:5] if earlier else b""))
        started = time.perf_counter()
        assert ended(silent)
        assert time.perf_counter() - started < 2


def test_a_slow_body_is_not_a_slow_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    with served() as (_, port), connect(port) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n")
        for _ in range(4):
            time.sleep(0.15)
            slow.sendall(b"x")
        assert b"200 OK" in slow.recv(1000)


def test_more_connections_than_allowed_are_closed_and_others_answered() -> None:
    with served(most=5) as (_, port):
        kept = [connect(port) for _ in range(5)]
        time.sleep(0.1)
        assert ended(connect(port))
        kept[0].sendall(ANSWER)
        assert b"200 OK" in kept[0].recv(1000)
        for each in kept:
            each.close()


def test_a_dripping_body_does_not_hold_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "GRACE_SECONDS", 0.3)
    with served() as (server, port), connect(port) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nx")
        time.sleep(0.2)
        server.should_exit = True
        started = time.perf_counter()
        assert ended(slow)
        assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 400\r\n",
        b"POST / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n",
        b"POST / HTTP/2.0\r\nhost: a\r\ncontent-length: 5\r\n",
    ],
)
def test_a_request_that_can_be_read_in_two_ways_hides_no_other(head: bytes) -> None:
    with served() as (_, port), connect(port) as client:
        client.sendall(head + b"\r\n0\r\n\r\n" + ANSWER)
        answer = read_to_the_end(client)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b'\r\n\r\n{"detail":"this is no HTTP request that can be read in one way alone"}')


@pytest.mark.parametrize("path", [b"/", b"/early"])
def test_a_body_that_is_none_is_no_fault_of_ours(path: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with served() as (_, port), connect(port) as client:
        client.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        time.sleep(0.2)  # `/early` is answered by now
        client.sendall(b"no chunk\r\n")
        answer = read_to_the_end(client)
    assert answer.startswith(b"HTTP/1.1 200" if path == b"/early" else b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert capfd.readouterr().err == ""


def fill_up(port: int) -> socket.socket:
    """A client that asks for more than the socket holds, and takes nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(1)
    client.connect(("127.0.0.1", port))
    with suppress(TimeoutError, ConnectionError):
        while True:
            client.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
    return client


def test_an_answer_must_be_taken_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SEND_SECONDS", 0.3)
    with served() as (server, port), fill_up(port):
        end = time.monotonic() + 5
        while server.server_state.connections and time.monotonic() < end:
            time.sleep(0.05)
        assert not server.server_state.connections


def test_an_answer_that_is_not_taken_does_not_hold_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "GRACE_SECONDS", 0.3)
    with served() as (server, port), fill_up(port):
        server.should_exit = True
        end = time.monotonic() + 5
        while server.server_state.connections and time.monotonic() < end:
            time.sleep(0.05)
        assert not server.server_state.connections


def encrypt(connection: socket.socket, pem: Path) -> ssl.SSLSocket:
    return ssl.create_default_context(cafile=pem / "cert.pem").wrap_socket(connection, server_hostname="127.0.0.1")


def test_a_handshake_must_end_in_time(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "HEAD_SECONDS", 0.5)
    with served(pem=pem) as (_, port):
        with connect(port) as silent, connect(port) as begun, connect(port) as nonsense:
            begun.sendall(b"\x16\x03\x01\x02\x00\x01")  # the first bytes of a handshake
            nonsense.sendall(ANSWER)
            started = time.perf_counter()
            assert all(map(ended, (silent, begun, nonsense)))
            assert time.perf_counter() - started < 2
        with encrypt(connect(port), pem) as client:
            client.sendall(ANSWER)
            assert b"200 OK" in client.recv(1000)


def test_who_vanishes_from_tls_does_not_hold_the_end(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "GRACE_SECONDS", 0.5)
    with served(pem=pem) as (server, port), encrypt(connect(port), pem) as client:
        client.sendall(ANSWER)
        assert b"200 OK" in client.recv(1000)
        started = time.perf_counter()
        server.should_exit = True
        while server.server_state.connections and time.perf_counter() - started < 5:
            time.sleep(0.05)  # it reads nothing, and does not confirm the end
        assert time.perf_counter() - started < 3


def test_connections_fit_the_files_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [100, 1000]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: limits.__setitem__(slice(None), both))
    assert most_connections(10) == 40
    assert limits == [232, 1000]  # raised for 40, those being accepted and other files
    assert most_connections(256) == 1000 - 128 - 64
    assert most_connections(256) + 128 + 64 <= limits[0]


def test_out_of_files_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    loop, handle = asyncio.new_event_loop(), LoopErrors()
    for _ in range(1000):
        handle(loop, {"message": "accept", "exception": OSError(errno.EMFILE, "Too many open files")})
    assert [record.getMessage() for record in caplog.records] == [
        "no connection is accepted for now: Too many open files"
    ]
    loop.close()


def test_bodies_share_a_budget() -> None:
    budget = Budget(100)

    async def use() -> None:
        async with budget.share() as first:
            first(60)
            async with budget.share() as second:
                second(30)
                with pytest.raises(HTTPException) as raised:
                    second(20)
            assert raised.value.status_code == 503
            first(40)
        assert budget.left == 100

    asyncio.run(use())
