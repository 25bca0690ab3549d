"""`centerx serve`, as a process that is started, asked and ended."""

import asyncio
import io
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import httpx2
import numpy as np
import pytest
from PIL import Image

from centerx.cli.serve import read_origin, warn_of_strangers
from tests.cli.conftest import CommandLine
from tests.cli.test_predict import picture, read_json, save

CLIENTS, SECONDS = 100, 3
SCORE = 0.998
HTTP = r"serving model\.onnx on http://127\.0\.0\.1:(\d+), docs at /docs\n"
HTTPS = HTTP.replace("http", "https")
KEY = "a-key-of-at-least-16"


@contextmanager
def started(*arguments: object, told: str = HTTP) -> Iterator[tuple[Any, int]]:
    """A server process and its port.

    Args:
        arguments: of the command.
        told: pattern of its first line, whose group is the port.
    """
    command = [sys.executable, "-m", "centerx", "serve", *map(str, arguments), "--port", "0"]
    heard = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # nohup, under which tests may run, has it ignored
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    ) as process:
        try:
            line = process.stdout.readline()
            found = re.fullmatch(told, line)
            assert found is not None, line + process.stderr.read()
            yield process, int(found[1])
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server(onnx_file: Path) -> Iterator[int]:
    with started(onnx_file) as (_, port):
        yield port


def test_the_answer_is_the_entry_of_predict(
    server: int, centerx: CommandLine, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    save(Path("a.jpg"), picture(1, (110, 70)), exif=exif)
    centerx("predict", onnx_file, "a.jpg", "--score", SCORE, "--json", "a.json")
    [expected] = read_json(tmp_path / "a.json")
    assert (expected["width"], expected["height"]) == (110, 70)
    assert 2 < len(expected["detections"]) < 60
    content = Path("a.jpg").read_bytes()
    with httpx2.Client(base_url=f"http://127.0.0.1:{server}", params={"score": SCORE}) as client:
        form = client.post("/predict", files={"image": ("a.jpg", content, "image/jpeg")})
        raw = client.post("/predict", content=content, headers={"Content-Type": "image/jpeg"})
        bare = client.post("/predict", content=content)
    assert form.json() == expected
    assert raw.json() == bare.json() == expected | {"image": ""}


def batches(port: int) -> list[float]:
    """How often the network was called, and on how many pictures."""
    metrics = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    return [float(re.findall(rf"centerx_batch_size_{what} (\S+)", metrics)[0]) for what in ("count", "sum")]


def test_a_hundred_clients_lose_no_request(server: int, tmp_path: Path) -> None:
    content = save(tmp_path / "a.jpg").read_bytes()
    earlier = batches(server)
    end = time.monotonic() + SECONDS

    async def ask(client: httpx2.AsyncClient) -> list[httpx2.Response]:
        answers = []
        while not answers or time.monotonic() < end:
            answers.append(await client.post("/predict", content=content))
        return answers

    async def ask_all() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=CLIENTS)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server}", limits=limits, timeout=60) as client:
            return list(chain.from_iterable(await asyncio.gather(*(ask(client) for _ in range(CLIENTS)))))

    answers = asyncio.run(ask_all())
    assert {answer.status_code for answer in answers} == {200}
    assert len({round(answer.json()["detections"][0]["score"], 4) for answer in answers}) == 1
    calls, pictures = (after - before for after, before in zip(batches(server), earlier, strict=True))
    assert pictures == len(answers)
    assert pictures / calls > 1.5


def test_too_much_without_a_declared_length(server: int) -> None:
    with closing(HTTPConnection("127.0.0.1", server, timeout=30)) as connection:
        connection.request("POST", "/predict", iter([bytes(1_000_000)] * 21), encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (
            413,
            {"detail": "the body is larger than 20000000 bytes, send a smaller file"},
        )


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_end_waits_for_what_is_under_way(onnx_file: Path, tmp_path: Path, sign: int) -> None:
    content = save(tmp_path / "a.jpg").read_bytes()
    with started(onnx_file) as (process, port), closing(socket.create_connection(("127.0.0.1", port))) as client:
        client.settimeout(30)
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(content)}\r\n\r\n"
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")  # it is under way
        os.kill(process.pid, sign)
        time.sleep(0.5)
        client.sendall(content)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert process.wait(30) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_a_port_that_is_taken(centerx: CommandLine, onnx_file: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        status, out, err = centerx("serve", onnx_file, "--port", port)
    assert (status, out) == (2, "")
    assert err == (
        f"error: --host 127.0.0.1 --port {port}: cannot listen there (Address already in use), choose another\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.onnx"], "none.onnx: no such model file"),
        (["{model}", "--host", "256.0.0.1", "--port", "0"], "--host 256.0.0.1"),
        (["{model}", "--port", "70000"], "'--port'"),
        (["{model}", "--max-batch", "0"], "'--max-batch'"),
        (["{model}", "--max-megapixels", "1000"], "'--max-megapixels'"),
        (["{model}", "--allow-origin", "localhost:3000"], "--allow-origin: 'localhost:3000' is no origin"),
        (["{model}", "--allow-origin", "http://localhost:3000/"], "'http://localhost:3000/' is no origin"),
        (["{model}", "--allow-origin", "*", "--allow-origin", ""], "'' is no origin"),
        (["{model}", "--max-rate", "0"], "'--max-rate'"),
        (["{model}", "--max-rate", "nan"], "'--max-rate'"),
        (["none.onnx", "--api-keys", "none.txt"], "none.txt: the keys cannot be read (No such file or directory)"),
        (["none.onnx", "--api-keys", "/dev/zero"], "/dev/zero: the keys cannot be read (no ordinary file)"),
        (["none.onnx", "--tls-cert", "{model}"], "--tls-cert and --tls-key belong together"),
        (["none.onnx", "--tls-key", "{model}"], "--tls-cert and --tls-key belong together"),
        (["none.onnx", "--tls-cert", "{model}", "--tls-key", "none.pem"], "none.pem: cannot be read"),
        (
            ["none.onnx", "--tls-cert", "{model}", "--tls-key", "{model}"],
            "without a password (unreadable), give two",
        ),
    ],
)
def test_wrong_arguments(centerx: CommandLine, onnx_file: Path, arguments: list[str], words: str) -> None:
    status, out, err = centerx("serve", *(each.format(model=onnx_file) for each in arguments))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost:3000", "http://localhost:3000"),
        ("HTTPS://Example.org", "https://example.org"),
        ("https://example.org:443", "https://example.org"),
        ("http://example.org:443", "http://example.org:443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("null", "null"),
        ("*", "*"),
    ],
)
def test_origins_are_as_browsers_send_them(text: str, origin: str) -> None:
    assert read_origin(text) == origin


def test_a_started_server_answers_pages_of_an_allowed_origin(onnx_file: Path) -> None:
    with started(onnx_file, "--allow-origin", "http://a.org", "--allow-origin", "http://b.org") as (_, port):
        asked = {"Origin": "http://b.org", "Access-Control-Request-Method": "POST"}
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.options("/predict", headers=asked).headers["Access-Control-Allow-Origin"] == "http://b.org"
            head = client.head("/health")
            assert (head.status_code, head.content) == (200, b"")


# Keys, TLS and rates of a started server


@pytest.mark.parametrize(("key", "words"), [("other.pem", "key values mismatch"), ("locked.pem", "password")])
def test_a_certificate_without_its_key(centerx: CommandLine, pem: Path, key: str, words: str) -> None:
    status, out, err = centerx("serve", "none.onnx", "--tls-cert", pem / "cert.pem", "--tls-key", pem / key)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_keys_tls_and_a_rate_of_a_started_server(onnx_file: Path, pem: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    keys.chmod(0o600)
    options = ["--api-keys", keys, "--tls-cert", pem / "cert.pem", "--tls-key", pem / "key.pem", "--max-rate", "0.02"]
    trusted = ssl.create_default_context(cafile=pem / "cert.pem")
    content = save(tmp_path / "a.jpg").read_bytes()
    with started(onnx_file, *options, told=HTTPS) as (process, port):
        with httpx2.Client(base_url=f"https://127.0.0.1:{port}", verify=trusted) as client:
            assert client.post("/predict", content=content).status_code == 401
            answers = [client.post("/predict", content=content, headers={"X-API-Key": KEY}) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [200, 429]
            assert answers[0].json()["detections"]
            assert 40 < int(answers[1].headers["Retry-After"]) <= 50
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            trusted.minimum_version = trusted.maximum_version = version
            raw = socket.create_connection(("127.0.0.1", port), timeout=10)
            with trusted.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
                assert "GCM" in connection.cipher()[0] or "CHACHA20" in connection.cipher()[0]
        with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200" not in plain.recv(1000)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    ("address", "keys", "tls", "words"),
    [
        ("127.0.0.1", False, False, None),
        ("::1", False, False, None),
        ("0.0.0.0", False, False, "use --api-keys"),
        ("192.0.2.1", False, True, "use --api-keys"),
        ("::", True, False, "use --tls-cert"),
        ("fe80::1%eth0", True, True, None),
    ],
)
def test_an_address_that_others_reach_is_told(
    caplog: pytest.LogCaptureFixture, address: str, keys: bool, tls: bool, words: str | None
) -> None:
    warn_of_strangers(address, keys, tls)
    assert [words in record.getMessage() for record in caplog.records if words] == [True] * (words is not None)
    assert len(caplog.records) == (words is not None)


def test_a_server_that_all_may_ask_says_so(onnx_file: Path) -> None:
    told = r"serving model\.onnx on http://0\.0\.0\.0:(\d+), docs at /docs\n"
    with started(onnx_file, "--host", "0.0.0.0", told=told) as (process, _):
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read().startswith("warning: everyone who reaches this machine may ask")


# Memory of a started server


def peak_megabytes(process: Any) -> float:
    """The most memory that a process has held."""
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    return int(kilobytes) / 1000


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the memory of a process is not told here")
def test_a_flood_of_large_bodies_takes_bounded_memory(onnx_file: Path, tmp_path: Path) -> None:
    """60 clients hold 19 MB each, 1.1 GB together, then vanish; others are answered."""
    content = save(tmp_path / "a.jpg").read_bytes()
    with started(onnx_file) as (process, port):
        earlier = peak_megabytes(process)
        clients = []
        for _ in range(60):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 19500000\r\n\r\n")
            with suppress(OSError):  # it is told to come again before it has sent all
                client.sendall(bytes(19_000_000))
            clients.append(client)
        assert peak_megabytes(process) - earlier < 700
        for client in clients:
            client.close()
        assert httpx2.post(f"http://127.0.0.1:{port}/predict", content=content, timeout=30).status_code == 200
        print(f"held {peak_megabytes(process) - earlier:.0f} MB more")


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the memory of a process is not told here")
def test_a_picture_of_49_megapixels_takes_bounded_memory(onnx_file: Path, tmp_path: Path) -> None:
    values = np.zeros((7000, 7000, 3), np.uint16)
    values[::100] = 40000
    _, colours = cv2.imencode(".png", values)
    _, greys = cv2.imencode(".png", values[:, :, 0])
    lossless = io.BytesIO()
    Image.fromarray((values >> 8).astype(np.uint8)).save(lossless, "WEBP", lossless=True)
    for content in (colours.tobytes(), greys.tobytes(), lossless.getvalue()):
        with started(onnx_file) as (process, port):
            earlier = peak_megabytes(process)
            assert httpx2.post(f"http://127.0.0.1:{port}/predict", content=content, timeout=60).status_code == 200
            assert peak_megabytes(process) - earlier < 900
            print(f"took {peak_megabytes(process) - earlier:.0f} MB more")
