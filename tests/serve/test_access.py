"""Keys, and how often a client may ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from centerx.errors import InputError
from centerx.runtime import Predictor
from centerx.serve import Access
from centerx.serve.access import Guard, Rate, address, read_keys
from tests.serve.test_app import HERE, PREFLIGHT, Slow, level, metric, serving

KEYS = ("first-key-of-16-or-more", "second+key/of==somebody.else")
OTHER = "first-key-of-16-or-mora"


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(mode)
    return path


def test_keys_are_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = f"# of the shop\r\n{KEYS[0]}\r\n\n  {KEYS[1]} \n{KEYS[0]}"
    assert read_keys(key_file(tmp_path, text)) == KEYS
    assert caplog.records == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int) -> None:
    assert read_keys(path := key_file(tmp_path, KEYS[0], mode)) == KEYS[:1]
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.WARNING, f"{path}: other users of this machine can read it, run `chmod 600` on it")
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no key"),
        ("\n# none\n \n", "has no key"),
        (f"{KEYS[0]}\nshort\n", "line 2: no key"),
        ("a key with blanks in it", "line 1: no key"),
        ("schlüssel-für-den-server", "line 1: no key"),
        ("bell-in-the-key-\x07-------", "line 1: no key"),
        ("\udcff" * 20, "line 1: no key"),
        ("x" * 513, "line 1: no key"),
        (f"{KEYS[0]}\x1c{KEYS[0]}", "line 1: no key"),
        ("\n" * 10_000_001, "the keys cannot be read .more than 10000000 bytes."),
    ],
)
def test_lines_that_are_no_keys_are_told_and_not_shown(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        read_keys(key_file(tmp_path, text))
    message = str(raised.value)
    assert "\n" not in message
    assert not any(line in message for line in text.split("\n") if len(line) > 3)


@pytest.fixture
def guarded() -> Iterator[TestClient]:
    with serving(Predictor(Slow()), access=Access(KEYS)) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": f"Bearer {KEYS[0]}"}, 200),
        ({"Authorization": f"bearer  {KEYS[1]}"}, 200),
        ({"X-API-Key": KEYS[1]}, 200),
        ({"Authorization": "Basic dTpw", "X-API-Key": KEYS[0]}, 200),  # a proxy's own users
        ({}, 401),
        ({"X-API-Key": ""}, 401),
        ({"X-API-Key": OTHER}, 401),
        ({"X-API-Key": KEYS[0][:-1]}, 401),
        ({"X-API-Key": KEYS[0] + "x"}, 401),
        ({"X-API-Key": KEYS[0].upper()}, 401),
        ({"X-API-Key": ", ".join(KEYS)}, 401),
        ({"X-API-Key": b"\xff" * 20}, 401),
        ({"Authorization": f"Basic {KEYS[0]}"}, 401),
        ({"Authorization": KEYS[0]}, 401),
        ({"Authorization": f"Bearer {OTHER}", "X-API-Key": KEYS[0]}, 401),
    ],
)
def test_a_request_bears_a_key(guarded: TestClient, headers: dict[str, Any], status: int) -> None:
    answer = guarded.post("/predict", content=level(1), headers=headers)
    assert answer.status_code == status
    assert metric_of(guarded, status) == 1
    if status == 401:
        assert list(answer.json()) == ["detail"]
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert not any(key in answer.text for key in (*KEYS, OTHER))


def metric_of(client: TestClient, status: int) -> float:
    client.headers["X-API-Key"] = KEYS[0]
    return metric(client, f'centerx_requests_total{{status="{status}"}}')


@pytest.mark.parametrize("path", ["/predict", "/metrics", "/docs", "/openapi.json", "/none", "//health", "/health/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS"])
def test_no_other_path_is_open(guarded: TestClient, path: str, method: str) -> None:
    assert guarded.request(method, path).status_code == 401


def test_without_a_key_health_tells_that_it_runs_alone(guarded: TestClient) -> None:
    assert guarded.get("/health").json() == {"status": "ok"}
    assert guarded.head("/health").status_code == 200
    assert guarded.post("/health").status_code == 401
    assert guarded.get("/health", headers={"X-API-Key": OTHER}).status_code == 401
    assert guarded.get("/health", headers={"X-API-Key": KEYS[0]}).json()["classes"] == ["cat"]


def test_without_keys_one_that_is_sent_is_none_of_our_business() -> None:
    with serving(Predictor(Slow())) as client:
        assert client.get("/health", headers={"X-API-Key": OTHER}).json()["model"] == "m.onnx"


def test_a_page_of_another_origin_can_send_a_key_and_read_the_refusal() -> None:
    asked = PREFLIGHT | {"Origin": HERE, "Access-Control-Request-Headers": "authorization,x-api-key"}
    with serving(Predictor(Slow()), origins=[HERE], access=Access(KEYS)) as client:
        assert client.options("/predict", headers=asked).status_code == 200
        refused = client.post("/predict", content=level(1), headers={"Origin": HERE})
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, HERE)


def test_the_body_of_an_unknown_sender_is_not_read() -> None:
    sent: list[Any] = []

    async def never(*_: Any) -> None:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    guard = Guard(never, Access(KEYS), "/health")
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": [], "client": None}
    asyncio.run(guard(scope, never, send))
    assert sent[0]["status"] == 401


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.mark.parametrize(("rate", "at_once"), [(0.5, 1), (1, 1), (2.5, 2), (10, 10), (1000, 1000)])
def test_a_seconds_worth_at_once_then_so_many_a_second(rate: float, at_once: int) -> None:
    clock = Clock()
    limit = Rate(rate, now=clock)
    assert [limit.wait("a") for _ in range(at_once)] == [0] * at_once
    wait = limit.wait("a")
    assert 0 < wait <= 1 / rate + 1e-6
    assert limit.wait("a") == wait  # what is refused does not count
    assert limit.wait("b") == 0
    clock.time += wait
    assert limit.wait("a") == 0
    assert limit.wait("a") > 0
    allowed = 0
    for _ in range(4000):
        clock.time += 0.0025
        allowed += limit.wait("a") == 0
    assert allowed == pytest.approx(10 * rate, abs=1) or rate == 1000  # asked 400 times a second there
    clock.time += 1000
    assert sum(limit.wait("a") == 0 for _ in range(2 * at_once)) == at_once


def test_a_flood_of_addresses_takes_bounded_memory() -> None:
    limit = Rate(1, most=100, now=Clock())
    assert limit.wait("busy") == 0
    for number in range(10_000):
        assert limit.wait(f"client {number}") == 0
        assert limit.wait("busy") > 0  # who asks all the time is not forgotten
        assert len(limit.due) <= 100


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", ""),
    ],
)
def test_an_address_of_ipv6_counts_by_its_site(host: str, client: str) -> None:
    assert address({"type": "http", "client": (host, 1)}) == client
    assert address({"type": "http", "client": None}) == ""


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    slow = Slow()
    with serving(Predictor(slow), access=Access(KEYS, rate=0.01)) as client:
        asked = {key: client.post("/predict", content=level(1), headers={"X-API-Key": key}) for key in (*KEYS, OTHER)}
        assert [answer.status_code for answer in asked.values()] == [200, 200, 401]  # each counts by itself
        for key in (*KEYS, OTHER, "guess" * 5):  # guesses count by their address
            again = client.post("/predict", content=level(1), headers={"X-API-Key": key})
            assert (again.status_code, again.json()) == (429, {"detail": "too many requests, come again in 100 s"})
            assert again.headers["Retry-After"] == "100"
    assert slow.sizes == [1, 1]
