"""The page in a real browser finds what Python finds; and the folder is written whole or not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from centerx.build_model import load_detector
from centerx.errors import InputError
from centerx.exporting import ExportOptions, export_model
from centerx.exporting.web import PAGE, RUNTIME_FILES, WRITTEN, find_runtime
from centerx.geometry import Letterbox, warp_image
from centerx.images import read_image
from centerx.runtime import load
from tests.exporting.browser import Tab, find_chromium, open_tab, serve

EXACT = int(cv2.__version__.split(".")[0]) >= 5  # OpenCV 4 rounds the places it samples to 1/32 pixel
FETCH = "fetch('/picture', { cache: 'no-store' }).then((answer) => answer.blob())"
PLACE = """async (blob) => {
    const { letterbox } = await import("./centerx.js");
    const bitmap = await createImageBitmap(blob);
    const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    pen.drawImage(bitmap, 0, 0);
    const { data, scale } = letterbox(pen.getImageData(0, 0, bitmap.width, bitmap.height), 192, 256, 114);
    return { data: [...data], scale };
}"""
STATUS = "document.querySelector('#status')"


@pytest.fixture(scope="session")
def runtime() -> Path:
    """ONNX Runtime for the web."""
    try:
        return find_runtime()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def site(model_file: Path, runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the exported page in `model-web`, and room for pictures."""
    folder = tmp_path_factory.mktemp("site")
    export_model(*load_detector(model_file), folder / "model-web", "web")
    return folder


@pytest.fixture(scope="module")
def tab(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The page, its model loaded."""
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium")
    with serve(site) as address, open_tab(program, tmp_path_factory.mktemp("profile")) as tab:
        visit(tab, f"{address}/model-web/")
        tab.wait_for("window.centerx")
        yield tab


@pytest.fixture
def empty_tab(runtime: Path, tmp_path: Path) -> Iterator[Tab]:
    """A browser of its own, for tests that leave the page or change what it finds."""
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium")
    with open_tab(program, tmp_path / "profile") as tab:
        yield tab


def visit(tab: Tab, address: str) -> None:
    """Open a page; return when its document is there."""
    tab.call("Page.navigate", url=address)
    tab.wait_for(f"location.href === {address!r} && document.readyState === 'complete'")


def put(tab: Tab, site: Path, picture: Path) -> list[dict[str, Any]]:
    """What the page finds on a picture."""
    shutil.copy(picture, site / "picture")
    return tab.evaluate(f"{FETCH}.then((blob) => centerx.detect(blob))")


def choose(tab: Tab, picture: Path) -> None:
    """Choose a file as a user does."""
    node = tab.call("DOM.querySelector", nodeId=tab.call("DOM.getDocument")["root"]["nodeId"], selector="#file")
    tab.call("DOM.setFileInputFiles", nodeId=node["nodeId"], files=[str(picture)])


def assert_same(found: list[dict[str, Any]], page: Path, picture: Path, least: int) -> None:
    """The same boxes above 0.3 as Python's, pair by pair, at least `least` of them."""
    ours = load(page / "model.onnx")(picture).above(0.3)
    assert all(box[0] < box[2] and box[1] < box[3] for box in (each["box"] for each in found))
    theirs = [each for each in found if each["score"] >= 0.3]
    assert len(theirs) == len(ours.scores) >= least
    boxes, scores = np.array([each["box"] for each in theirs]), np.array([each["score"] for each in theirs])
    assert [each["label"] for each in theirs] == [ours.class_names[label] for label in ours.labels]
    assert np.abs(boxes - ours.boxes).max() < 0.5
    assert np.abs(scores - ours.scores).max() < 0.01


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    "size",
    [
        (640, 480),
        (1920, 1440),
        pytest.param(
            (64, 48), marks=pytest.mark.skipif(not EXACT, reason="OpenCV 4 rounds enlarged pixels differently")
        ),
    ],
    ids=str,
)
def test_the_page_finds_what_python_finds(
    size: tuple[int, int], suffix: str, tab: Tab, site: Path, shared_data: Path, tmp_path: Path
) -> None:
    picture = shared_data / "bccd" / "JPEGImages" / "BloodImage_00001.jpg"
    if size != (640, 480) or suffix != ".jpg":
        with Image.open(picture) as image:
            image.resize(size).save(tmp_path / f"a{suffix}")
        picture = tmp_path / f"a{suffix}"
    assert_same(put(tab, site, picture), site / "model-web", picture, least=5)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_page_runs_lower_precisions(
    precision: str, empty_tab: Tab, model_file: Path, shared_data: Path, tmp_path: Path
) -> None:
    picture = shared_data / "bccd" / "JPEGImages" / "BloodImage_00001.jpg"
    detector, info = load_detector(model_file)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 3, *info.input_hw), dtype=np.uint8)
    export_model(detector, info, tmp_path / "page", "web", ExportOptions(precision=precision, pictures=pictures))
    with serve(tmp_path) as address:
        visit(empty_tab, f"{address}/page/")
        empty_tab.wait_for("window.centerx")
        assert_same(put(empty_tab, tmp_path, picture), tmp_path / "page", picture, least=5)


def test_boxes_lie_on_the_picture_as_it_is_shown(tab: Tab, site: Path, shared_data: Path, tmp_path: Path) -> None:
    """EXIF orientation 6: stored lying, shown upright."""
    with Image.open(shared_data / "bccd" / "JPEGImages" / "BloodImage_00001.jpg") as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.resize((384, 384 * 4 // 3)).save(tmp_path / "turned.png", exif=exif)
    assert read_image(tmp_path / "turned.png").shape[:2] == (384, 512)
    assert_same(put(tab, site, tmp_path / "turned.png"), site / "model-web", tmp_path / "turned.png", least=5)


@pytest.mark.parametrize(
    "source_hw",
    [(480, 640), (100, 37), (192, 256), (384, 512), (481, 641), (1537, 1023), (2048, 2048), (3, 900), (1, 1)],
)
def test_the_letterbox_of_the_page_is_ours(source_hw: tuple[int, int], tab: Tab, site: Path) -> None:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), source_hw[::-1], interpolation=cv2.INTER_CUBIC)
    Image.fromarray(image).save(site / "picture", format="PNG")
    theirs = tab.evaluate(f"{FETCH}.then({PLACE})")
    ours = Letterbox.fit(source_hw, (192, 256))
    assert theirs["scale"] == ours.scale
    placed = np.array(theirs["data"]).reshape(3, 192, 256).transpose(1, 2, 0)
    apart = np.abs(placed.astype(int) - warp_image(image, ours.matrix, (192, 256)))
    assert apart.max() <= (1 if EXACT else 4)
    assert (apart > 0).mean() < (0.02 if EXACT else 0.5)


def test_two_pictures_at_once(tab: Tab, site: Path, shared_data: Path) -> None:
    shutil.copy(shared_data / "bccd" / "JPEGImages" / "BloodImage_00001.jpg", site / "picture")
    one, two = tab.evaluate(f"{FETCH}.then((blob) => Promise.all([centerx.detect(blob), centerx.detect(blob)]))")
    assert one == two
    assert one


def test_a_chosen_picture_is_drawn_and_the_slider_hides_boxes(tab: Tab, site: Path, shared_data: Path) -> None:
    picture = shared_data / "bccd" / "JPEGImages" / "BloodImage_00001.jpg"
    choose(tab, picture)
    told = tab.wait_for(f"{STATUS}.textContent.includes(' ms') && {STATUS}.textContent")
    count = len(load(site / "model-web" / "model.onnx")(picture).above(0.3).scores)
    assert told.startswith(f"{count} objects, ")
    assert told.endswith("640 × 480 pixels")
    drawn = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 300, 300).data].join()"
    before = tab.evaluate(drawn)
    tab.evaluate(
        "score = document.querySelector('#score'), score.value = 0.95, score.dispatchEvent(new Event('input'))"
    )
    assert tab.evaluate(f"parseInt({STATUS}.textContent)") < count
    assert tab.evaluate(drawn) != before


def test_what_is_no_picture_is_told(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear browser")
    choose(tab, tmp_path / "letter.jpg")
    tab.wait_for(f"{STATUS}.className === 'error'")
    assert tab.evaluate(f"{STATUS}.textContent") == "letter.jpg is not a picture that this browser can read."


def test_the_camera_runs_until_it_is_stopped(tab: Tab) -> None:
    """The picture is that of the browser's test camera."""
    press = "document.querySelector('#camera').click()"
    tab.evaluate(press)
    pixels = "document.querySelector('canvas').toDataURL()"
    before = tab.evaluate(pixels)
    for _ in range(2):
        tab.wait_for(f"{pixels} !== {before!r}")
        before = tab.evaluate(pixels)
    assert " ms, " in tab.evaluate(f"{STATUS}.textContent")
    assert tab.evaluate("document.querySelector('#camera').textContent") == "Stop the camera"
    tab.evaluate(press)
    assert tab.evaluate("document.querySelector('#camera').textContent") == "Camera"


def test_without_a_server_the_page_says_so(empty_tab: Tab, site: Path) -> None:
    visit(empty_tab, (site / "model-web" / "index.html").as_uri())
    assert "python -m http.server" in empty_tab.wait_for(f"{STATUS}.className === 'error' && {STATUS}.textContent")


def test_without_web_assembly_the_page_says_so(empty_tab: Tab, site: Path) -> None:
    empty_tab.call("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.WebAssembly")
    with serve(site) as address:
        visit(empty_tab, f"{address}/model-web/")
        assert "no WebAssembly" in empty_tab.wait_for(f"{STATUS}.className === 'error' && {STATUS}.textContent")


# Without a browser

STUB = """
export const env = { wasm: {} };
export class Tensor {}
const answer = {
  boxes: { data: Float32Array.of(70, 10, 90, 20,  64, 0, 70, 9,  5, 5, 5, 20,  60, 10, 90, 20,  1, 1, 9, 9) },
  scores: { data: Float32Array.of(0.75, 0.625, 0.5, 0.25, 0) },
  labels: { data: BigInt64Array.of(0n, 0n, 0n, 1n, 0n) },
};
export const InferenceSession = { create: async () => ({ run: async () => answer }) };
"""
DRIVE = """
const facts = { class_names: ["cat", "dog"], input_size: [96, 128], letterbox: { pad_value: 114 } };
globalThis.fetch = async () => ({ ok: true, json: async () => facts, arrayBuffer: async () => new ArrayBuffer(0) });
globalThis.createImageBitmap = async () => ({ width: 128, height: 192, close() {} });
const pixels = { width: 128, height: 192, data: new Uint8ClampedArray(4 * 128 * 192) };
globalThis.OffscreenCanvas = class { getContext() { return { drawImage() {}, getImageData: () => pixels }; } };
const { load } = await import("./centerx.js");
console.log(JSON.stringify(await (await load(new URL("file:///"))).detect(null)));
"""


def test_what_has_no_area_on_the_picture_is_no_detection(tmp_path: Path) -> None:
    """An upright picture of 128 x 192 fills the left half of the input, 64 pixels; as in the tests of `Predictor`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(PAGE / "centerx.js", tmp_path)
    (tmp_path / "ort.wasm.bundle.min.mjs").write_text(STUB)
    (tmp_path / "drive.js").write_text(DRIVE)
    done = subprocess.run([node, tmp_path / "drive.js"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [{"label": "dog", "score": 0.25, "box": [120, 20, 128, 40]}]


# The folder


def test_the_folder_is_whole_and_replaces_the_one_before(
    site: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copytree(site / "model-web", tmp_path / "model-web"))
    (path / "app.js").write_text("old")
    detector, info = load_detector(model_file)
    monkeypatch.setattr("centerx.exporting.web.export_onnx", lambda *given: given[2].write_bytes(b"model"))
    export_model(detector, info._replace(class_names=("Erythrozyt", "größer", "β")), path, "web")
    assert [each.name for each in tmp_path.iterdir()] == ["model-web"]
    assert {each.name for each in path.iterdir()} == WRITTEN
    assert (path / "app.js").read_text() != "old"
    assert (path / "model.onnx").read_bytes() == b"model"
    facts = json.loads((path / "model.json").read_text(encoding="utf-8"))
    assert facts["class_names"] == ["Erythrozyt", "größer", "β"]
    assert facts["input_size"] == [96, 128]
    assert "Copyright (c) Microsoft Corporation" in (path / "onnxruntime-web.LICENSE.txt").read_text()


def test_a_failed_export_leaves_the_folder_before(
    site: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copytree(site / "model-web", tmp_path / "model-web"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("centerx.exporting.web.export_onnx", full)
    with pytest.raises(OSError, match="No space"):
        export_model(*load_detector(model_file), path, "web")
    assert [each.name for each in tmp_path.iterdir()] == ["model-web"]
    assert {each.name for each in path.iterdir()} == WRITTEN


@pytest.mark.parametrize("made", ["a folder with a picture", "a file"])
def test_what_is_not_ours_is_not_replaced(made: str, model_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "model-web"
    if made == "a file":
        path.write_text("mine")
    else:
        path.mkdir()
        (path / "holiday.jpg").write_text("mine")
    with pytest.raises(InputError, match=r"holiday\.jpg" if path.is_dir() else "a file where"):
        export_model(*load_detector(model_file), path, "web")
    assert path.read_text() == "mine" if path.is_file() else (path / "holiday.jpg").read_text() == "mine"


# ONNX Runtime for the web


def test_without_npm_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"npm is absent.* install Node\.js, or let CENTERX_ORT_WEB name"):
        find_runtime()


def test_an_npm_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="connect to the network"):
        find_runtime()
    assert not (tmp_path / "cache").exists()


def test_a_folder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTERX_ORT_WEB", str(tmp_path))
    with pytest.raises(InputError, match=r"has no ort\.wasm\.bundle\.min\.mjs"):
        find_runtime()
    for name in RUNTIME_FILES:
        (tmp_path / name).touch()
    assert find_runtime() == tmp_path
