"""What the server answers, to pictures and to everything else."""

import asyncio
import io
import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import centerx as package
from centerx.files import is_line
from centerx.runtime import Predictor
from centerx.runtime.info import ModelInfo
from centerx.serve import Access, Limits, create_app
from centerx.serve import app as module
from centerx.serve.access import EVERYONE
from centerx.types import RawDetections
from tests.cli.test_predict import picture

LIMITS = Limits(bytes=100_000, pixels=1_000_000, seconds=10, requests=64)


class Slow:
    """A session that finds objects whose boxes start at the grey of the picture's corner; waits while it is shut."""

    info = ModelInfo(("cat",), (32, 64), 4)

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.scores = [1.0]
        self.entered, self.opened = threading.Event(), threading.Event()
        self.opened.set()

    def __call__(self, images: np.ndarray) -> RawDetections:
        self.sizes.append(len(images))
        self.entered.set()
        assert self.opened.wait(10)
        boxes = np.array([[[level, 1, level + 2, 2]] * len(self.scores) for level in images[:, 0, 0, 0]], np.float32)
        scores = np.array([self.scores] * len(images), np.float32)
        return RawDetections({"boxes": boxes}, scores, np.zeros(scores.shape, np.int64))


@contextmanager
def serving(
    predictor: Predictor,
    limits: Limits = LIMITS,
    max_batch: int = 4,
    origins: Sequence[str] = (),
    access: Access = EVERYONE,
) -> Iterator[TestClient]:
    app = create_app(predictor, "m.onnx", "onnxruntime", limits, max_batch, origins, access)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def client(slow: Slow) -> Iterator[TestClient]:
    with serving(Predictor(slow)) as client:
        yield client


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def level(value: int) -> bytes:
    """A picture of one grey, of the size of the input of `Slow`."""
    return encoded(Image.new("L", (64, 32), value))


def metric(client: TestClient, name: str) -> float:
    [value] = re.findall(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, flags=re.MULTILINE) or ["0"]
    return float(value)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to this in 10 s")


# Pictures


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF"])
def test_every_format(client: TestClient, format: str) -> None:
    answer = client.post("/predict", content=encoded(Image.new("RGB", (64, 32), (40,) * 3), format))
    assert answer.json()["detections"][0]["box"] == pytest.approx([40, 1, 42, 2], abs=2)


def test_of_an_animation_the_first_frame(client: TestClient) -> None:
    frames = [Image.new("L", (64, 32), grey) for grey in (40, 60)]
    answer = client.post("/predict", content=encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).json()
    assert answer["detections"] == [{"label": "cat", "score": 1, "box": [40, 1, 42, 2]}]


@pytest.mark.parametrize(("query", "kept"), [("", 2), ("?score=0", 3), ("?score=0.5", 1), ("?score=1", 0)])
def test_the_score_to_cut_at(client: TestClient, slow: Slow, query: str, kept: int) -> None:
    slow.scores = [0.9, 0.31, 0.29]
    answer = client.post(f"/predict{query}", content=level(1)).json()
    assert [each["score"] for each in answer["detections"]] == pytest.approx(slow.scores[:kept])


def test_one_pixel(client: TestClient) -> None:
    answer = client.post("/predict", content=encoded(Image.new("RGB", (1, 1))))
    assert answer.status_code == 200
    assert (answer.json()["width"], answer.json()["height"]) == (1, 1)


# Bad uploads


WHOLE = encoded(Image.fromarray(picture()), "JPEG")
BAD = {
    "nothing": (b"", 400, "0 bytes"),
    "a text": (b"hello", 415, "not a readable image"),
    "cut off": (WHOLE[: len(WHOLE) // 2], 415, "truncated"),
    "20000 x 20000": (encoded(Image.new("1", (20000, 20000)), "PNG"), 413, "too large"),
    "too many pixels": (encoded(Image.new("L", (1001, 1000))), 413, "1001 x 1000 pixels, at most 1000000"),
    "too many bytes": (bytes(100_001), 413, "larger than 100000 bytes"),
    "a format that runs programs": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        415,
        "a PostScript file",
    ),
}


@pytest.mark.parametrize("form", [False, True], ids=["raw", "form"])
@pytest.mark.parametrize("case", BAD)
def test_a_bad_upload_is_told_in_one_line_and_reaches_no_network(
    client: TestClient, slow: Slow, case: str, form: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    content, status, words = BAD[case]
    body: dict[str, Any] = {"files": {"image": ("a.jpg", content)}} if form else {"content": content}
    answer = client.post("/predict", **body)
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]
    assert words in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert slow.sizes == []
    assert capfd.readouterr() == ("", "")
    assert client.post("/predict", content=level(7)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"files": {"picture": ("a.png", level(1))}},
        {"files": {"image": (None, "a.png")}},
        {"files": [("image", ("a.png", level(1))), ("image", ("b.png", level(1)))]},
        {"content": level(1), "headers": {"Content-Type": "multipart/form-data"}},
        {"content": level(1), "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    ],
    ids=["another field", "text", "two files", "no boundary", "not a form"],
)
def test_a_form_of_another_kind(client: TestClient, slow: Slow, body: dict[str, Any]) -> None:
    answer = client.post("/predict", **body)
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)
    assert slow.sizes == []


@pytest.mark.parametrize("score", ["-0.1", "1.1", "nan", "high", ""])
def test_a_wrong_score(client: TestClient, slow: Slow, score: str) -> None:
    answer = client.post(f"/predict?score={score}", content=level(1))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("score: Input should be ")
    assert slow.sizes == []


def form(*fields: tuple[str, Any]) -> dict[str, Any]:
    """A form of the picture and other fields, text or (name, content) of a file."""
    image = ("image", ("a.png", level(1)))
    return {"files": [image, *((name, each if isinstance(each, tuple) else (None, each)) for name, each in fields)]}


@pytest.mark.parametrize("score", ["-0.1", "1.1", "nan", "high", ""])
def test_a_wrong_score_in_a_form(client: TestClient, slow: Slow, score: str) -> None:
    answer = client.post("/predict", **form(("score", score)))
    assert answer.status_code == 422
    assert answer.json() == client.post(f"/predict?score={score}", content=level(1)).json()
    assert slow.sizes == []


@pytest.mark.parametrize(("score", "kept"), [("0", 3), ("0.5", 1), (" 0.50 ", 1), ("1", 0)])
def test_the_score_of_a_form_counts_like_that_of_the_query(
    client: TestClient, slow: Slow, score: str, kept: int
) -> None:
    slow.scores = [0.9, 0.31, 0.29]
    in_form = client.post("/predict", **form(("score", score)))
    assert [each["score"] for each in in_form.json()["detections"]] == pytest.approx(slow.scores[:kept])
    assert in_form.json() == client.post("/predict", params={"score": score}, **form()).json()
    assert in_form.json() == client.post("/predict", params={"score": score}, **form(("score", score))).json()


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("?conf=0.9", {"content": level(1)}, "unknown query parameter 'conf', known: score"),
        ("?Score=0.9", {"content": level(1)}, "'Score' (did you mean 'score'?)"),
        ("?score=0.5&top%0Ak=3", {"content": level(1)}, "unknown query parameter 'top\\nk'"),
        ("?conf=0.9", {"content": b"no picture"}, "unknown query parameter 'conf'"),
        ("", form(("conf", "0.9")), "unknown form field 'conf', known: image, score"),
        ("", form(("scores", "0.9")), "(did you mean 'score'?)"),
        ("", form(("mask", ("m.png", level(1)))), "unknown form field 'mask'"),
        ("", form(("score", ("s.txt", b"0.5"))), "score: is a file"),
        ("?score=0.3", form(("score", "0.5")), "score: 0.3 and 0.5 are asked for, send one"),
        ("?score=0.3&score=0.5", {"content": level(1)}, "score: 0.3 and 0.5 are asked for, send one"),
        ("?score=high&score=0.5", {"content": level(1)}, "score: Input should be a valid number"),
        ("", form(("score", "0.3"), ("score", "0.5")), "score: 0.3 and 0.5 are asked for, send one"),
    ],
)
def test_what_means_nothing_here_or_contradicts_is_told(
    client: TestClient, slow: Slow, query: str, body: dict[str, Any], words: str
) -> None:
    answer = client.post(f"/predict{query}", **body)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert slow.sizes == []


def ask(predictor: Predictor, limits: Limits, receive: Callable[[], Any]) -> tuple[int, dict[str, str]]:
    """Status and answer to a POST whose body is what `receive` gives, of no length declared."""
    app = create_app(predictor, "m.onnx", "onnxruntime", limits, 1)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def test_bytes_are_counted_while_they_come(slow: Slow) -> None:
    taken = 0

    async def endless() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        assert taken < 10
        return {"type": "http.request", "body": bytes(30_000), "more_body": True}

    status, answer = ask(Predictor(slow), LIMITS, endless)
    assert (status, answer) == (413, {"detail": "the body is larger than 100000 bytes, send a smaller file"})
    assert taken == 4


def form_in(content: bytes, charset: str = "utf-8") -> dict[str, Any]:
    """A form, as arguments of a request."""
    head = b'--B\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=B; charset={charset}"}
    return {"content": head + content + b"\r\n--B--\r\n", "headers": headers}


def test_a_form_needs_no_disk(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    noise = np.random.default_rng(0).integers(0, 255, (800, 800, 3), dtype=np.uint8)  # of 2 MB as PNG
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with serving(Predictor(slow), LIMITS._replace(bytes=3_000_000)) as client:
        assert client.post("/predict", **form_in(encoded(Image.fromarray(noise)))).status_code == 200


@pytest.mark.parametrize("charset", ["undefined", "\0", "hex", "idna", "x" * 10_000])
def test_a_charset_that_is_none(client: TestClient, charset: str) -> None:
    answer = client.post("/predict", **form_in(encoded(Image.new("RGB", (9, 9))), charset))
    assert answer.status_code in (200, 400)
    if charset in ("undefined", "\0"):
        assert answer.json() == {"detail": "the form has a charset that is not read here, send it as UTF-8"}


def test_a_sender_who_stops(slow: Slow) -> None:
    async def never() -> dict[str, Any]:
        await asyncio.sleep(10)
        raise AssertionError

    status, answer = ask(Predictor(slow), LIMITS._replace(seconds=0.1), never)
    assert (status, answer) == (408, {"detail": "the body did not arrive within 0.1 s, send a smaller file"})


def test_a_sender_who_goes_away(slow: Slow) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert ask(Predictor(slow), LIMITS, gone)[0] == 400


def test_a_fault_of_ours_is_one_line_and_the_next_request_is_answered(slow: Slow) -> None:
    slow.info = ModelInfo((), (32, 64), 4)  # no name for what it finds
    with serving(Predictor(slow)) as client:
        answer = client.post("/predict", content=level(1))
        assert answer.status_code == 500
        assert answer.json() == {"detail": "a fault of the server (IndexError), see its log"}
        assert metric(client, 'centerx_requests_total{status="500"}') == 1
        assert client.post("/predict?score=1.0", content=b"hello").status_code == 415


def named(name: bytes, content: bytes) -> dict[str, Any]:
    """A form whose file has a name of any bytes."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n'
    return {
        "content": head + content + b"\r\n--x--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    }


NAMES = {
    "a terminal's commands": b"\x1b[2J\x07\x08.png",
    "C1": "\x9b2J\u2028\u202e.png".encode(),
    "a path": b"../../../../etc/passwd",
    "another's path": b"C:\\\\a\\\\b.png",
    "no text": b"\xff\xfe\xc3.png",
    "a zero": b"a\x00.png",
    "long": b"a" * 20_000 + b".png",
    "raw": b"a.cr2",
}


@pytest.mark.parametrize("case", NAMES)
def test_names_of_files_are_text_and_no_more(
    client: TestClient, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = (
        client.post("/predict", **named(NAMES[case], level(7))),
        client.post("/predict", **named(NAMES[case], b"no")),
    )
    assert good.status_code in (200, 400, 415)
    assert bad.status_code in (400, 415)
    for answer in (good, bad):
        assert not re.search(rb"[\x00-\x1f\x7f]", answer.content)
    assert is_line(bad.json()["detail"])
    assert list(tmp_path.iterdir()) == []


def test_no_answer_tells_a_path_of_the_server(slow: Slow) -> None:
    """Nor do faults of it, whose errors name files."""

    def fault(images: np.ndarray) -> RawDetections:
        raise OSError(28, "No space left on device", str(Path(__file__)))

    predictor = Predictor(slow)
    with serving(predictor) as client:
        answers = [
            client.get(path) for path in ("/health", "/metrics", "/docs", "/openapi.json", "/..%2f..%2fetc", "/x")
        ]
        for content, *_ in BAD.values():
            answers += [client.post("/predict", content=content), client.post("/predict", **named(b"a", content))]
        predictor.detect = fault  # type: ignore[assignment,method-assign]
    with serving(predictor) as client:
        answers.append(client.post("/predict", content=level(1)))
    assert answers[-1].json() == {"detail": "a fault of the server (OSError), see its log"}
    for answer in answers:
        for path in (Path(__file__).parents[2], Path(package.__file__).parent, Path.cwd(), Path(np.__file__).parent):
            assert str(path) not in answer.text
        assert "Traceback" not in answer.text


# Many at once


def test_bodies_that_are_held_together_have_a_sum_and_give_it_back(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hold 180 kB of 200; a third is told to come again until one of them vanishes."""
    monkeypatch.setattr(module, "BODIES", 0)  # so twice the largest body
    application = create_app(Predictor(slow), "m.onnx", "onnxruntime", LIMITS, 1)

    async def post(arrived: asyncio.Event, vanish: asyncio.Event) -> int:
        sent: list[Any] = []
        bodies = iter([bytes(90_000)])

        async def receive() -> dict[str, Any]:
            if (body := next(bodies, None)) is not None:
                return {"type": "http.request", "body": body, "more_body": True}
            arrived.set()
            await vanish.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
        await application(scope, receive, send)
        return int(sent[0]["status"])

    async def run() -> list[int]:
        arrived, vanish = [asyncio.Event(), asyncio.Event()], asyncio.Event()
        held = [asyncio.create_task(post(each, vanish)) for each in arrived]
        for each in arrived:
            await asyncio.wait_for(each.wait(), 10)
        gone = asyncio.Event()
        gone.set()
        refused = await post(asyncio.Event(), gone)
        vanish.set()
        return [refused, *(await asyncio.gather(*held)), await post(asyncio.Event(), gone)]

    assert asyncio.run(run()) == [503, 400, 400, 400]


def test_what_waits_goes_into_the_network_together(client: TestClient, slow: Slow) -> None:
    """A bad upload among them is told so and takes nobody along."""
    slow.opened.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.post, "/predict", content=level(1))
        assert slow.entered.wait(10)
        others = [pool.submit(client.post, "/predict", content=level(grey)) for grey in range(2, 8)]
        assert client.post("/predict", content=WHOLE[:-99]).status_code == 415
        wait_until(lambda: metric(client, "centerx_queue_length") == 6)
        slow.opened.set()
        answers = [each.result(10) for each in (first, *others)]
    assert [answer.json()["detections"][0]["box"][0] for answer in answers] == [1, 2, 3, 4, 5, 6, 7]
    assert slow.sizes == [1, 4, 2]
    assert metric(client, "centerx_batch_size_sum") == 7
    assert metric(client, "centerx_batch_size_count") == 3
    assert metric(client, 'centerx_batch_size_bucket{le="1.0"}') == 1


def test_out_of_time(slow: Slow) -> None:
    """Who waited in vain is told so, and left out of later batches."""
    with serving(Predictor(slow), LIMITS._replace(seconds=0.3)) as client, ThreadPoolExecutor(3) as pool:
        slow.opened.clear()
        answers = list(pool.map(lambda _: client.post("/predict", content=level(1)), range(3)))
        assert [answer.status_code for answer in answers] == [504] * 3
        assert answers[0].json() == {"detail": "no answer within 0.3 s, try again later"}
        slow.opened.set()
        assert client.post("/predict", content=level(1)).status_code == 200
    assert sum(slow.sizes) <= 3


def test_more_than_the_allowed_requests_are_told_to_come_again(slow: Slow) -> None:
    with serving(Predictor(slow), LIMITS._replace(requests=2)) as client, ThreadPoolExecutor(2) as pool:
        slow.opened.clear()
        early = [pool.submit(client.post, "/predict", content=level(1)) for _ in range(2)]
        wait_until(lambda: sum(slow.sizes) + metric(client, "centerx_queue_length") == 2)
        late = client.post("/predict", content=level(1))
        assert (late.status_code, late.headers["Retry-After"]) == (503, "1")
        assert late.json() == {"detail": "2 requests are under way, try again"}
        slow.opened.set()
        assert [each.result(10).status_code for each in early] == [200, 200]
        assert client.post("/predict", content=level(1)).status_code == 200


# Pages of other origins

HERE, THERE = "http://localhost:3000", "https://example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), HERE, None),
        ((HERE,), HERE, HERE),
        ((THERE, HERE), HERE, HERE),
        ((HERE,), THERE, None),
        (("*",), THERE, "*"),
    ],
)
def test_a_page_of_another_origin_may_ask_where_it_is_allowed(
    slow: Slow, origins: Sequence[str], origin: str, allowed: str | None
) -> None:
    with serving(Predictor(slow), origins=origins) as client:
        preflight = client.options("/predict", headers={"Origin": origin} | PREFLIGHT)
        assert preflight.status_code == (200 if allowed else 400 if origins else 405)
        assert preflight.headers.get("Access-Control-Allow-Origin") == allowed
        if allowed:
            assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
            assert preflight.headers["Access-Control-Allow-Headers"].lower() in ("content-type", "*")
        for answer, status in (
            (client.post("/predict", content=level(1), headers={"Origin": origin}), 200),
            (client.post("/predict?conf=1", content=level(1), headers={"Origin": origin}), 422),
            (client.post("/predict", content=b"hello", headers={"Origin": origin}), 415),
            (client.get("/health", headers={"Origin": origin}), 200),
        ):
            assert answer.status_code == status
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert metric(client, 'centerx_requests_total{status="200"}') == 1  # preflights are no answers


# The other pages


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json"])
def test_head_answers_as_get_does(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, get.status_code) == (200, 200)
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("path", ["/health/", "/predict/", "/docs/"])
def test_nobody_is_sent_to_the_host_that_a_client_names(client: TestClient, path: str) -> None:
    response = client.get(path, headers={"host": "evil.example"}, follow_redirects=False)
    assert response.status_code == 404
    assert "evil" not in str(response.headers)


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json", "/redoc", "/", "/none"])
def test_no_page_loads_anything(client: TestClient, path: str) -> None:
    text = client.get(path).text
    assert not re.search(r"https?:|//[a-z]|<script|<link|<img|@import|url\(", text, re.IGNORECASE)


def test_the_page_for_people_says_what_the_openapi_page_says(client: TestClient) -> None:
    answer, openapi = client.get("/docs"), client.get("/openapi.json").json()
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            assert f"<h2>{method.upper()} {path}</h2>" in answer.text
            for status in operation["responses"]:
                assert f"<td>{status}</td>" in answer.text
    assert "<td>score</td><td>query</td><td>0.3</td>" in answer.text


def test_the_page_for_people_runs_no_name(slow: Slow) -> None:
    app = create_app(Predictor(slow), "<script>alert(1)</script>.onnx", "onnxruntime", LIMITS, 1)
    with TestClient(app) as client:
        assert "<script" not in client.get("/docs").text


def test_names_of_any_kind_are_answered(slow: Slow) -> None:
    slow.info = ModelInfo(("caf\udce9 猫",), (32, 64), 4)
    app = create_app(Predictor(slow), "m\udce9.onnx", "onnxruntime", LIMITS, 1)
    with TestClient(app, raise_server_exceptions=False) as client:
        health = client.get("/health").json()
        assert (health["model"], health["classes"]) == ("m\udce9.onnx", ["caf\udce9 猫"])
        assert client.post("/predict", content=level(1)).json()["detections"][0]["label"] == "caf\udce9 猫"
        assert client.get("/openapi.json").json()["info"]["title"] == "centerX: m%E9.onnx"


def test_health(onnx_file: Path) -> None:
    with serving(package.load(onnx_file)) as client:
        assert client.get("/health").json() == {
            "status": "ok", "model": "m.onnx", "backend": "onnxruntime", "classes": ["red", "green", "blue"],
            "input_height": 96, "input_width": 128,
        }  # fmt: skip


def test_every_answer_is_counted_by_its_status(client: TestClient) -> None:
    for _ in range(3):
        client.post("/predict", content=level(1))
    client.post("/predict", content=b"hello")
    client.post("/predict?score=2", content=level(1))
    client.get("/health")
    counted = {status: metric(client, f'centerx_requests_total{{status="{status}"}}') for status in (200, 415, 422)}
    assert counted == {200: 3, 415: 1, 422: 1}
    assert metric(client, "centerx_request_seconds_count") == 5
    assert metric(client, 'centerx_request_seconds_bucket{le="30.0"}') == 5
    assert 0 < metric(client, "centerx_request_seconds_sum") < 10


def test_the_openapi_page_says_what_goes_in_and_what_comes_out(client: TestClient) -> None:
    page = client.get("/openapi.json").json()
    predict = page["paths"]["/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {"image/*", "multipart/form-data"}
    form = predict["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"image", "score"}
    [score] = predict["parameters"]
    assert (score["name"], score["schema"]["default"]) == ("score", 0.3)
    assert set(predict["responses"]) == {*("200", "400", "401", "408", "413", "415", "422", "429", "503", "504")}
    assert predict["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Entry")
    assert set(page["components"]["schemas"]["Entry"]["properties"]) == {"image", "width", "height", "detections"}
    assert set(page["paths"]) == {"/predict", "/health", "/metrics"}
