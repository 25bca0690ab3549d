"""The pages in a real browser: what that of each task finds and draws, and reports without errors, on every screen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import centerx
from centerx.build_model import build_detector, load_detector, save_named
from centerx.config import load_config
from centerx.errors import InputError
from centerx.exporting import export_model
from centerx.exporting.parity import synthetic_images
from centerx.exporting.web import find_runtime
from centerx.runtime import load
from centerx.runtime.entry import to_dict
from tests.conftest import give_structure
from tests.exporting.browser import Tab, find_chromium, open_tab, serve
from tests.exporting.test_web import STATUS, choose, visit

INPUT_HW = 96, 128
JOINTS = "joints={names: [head, left_hand, right_hand], skeleton: [[head, left_hand], [head, right_hand]]}"
TASKS: dict[str, tuple[list[str], set[str]]] = {
    "boxes": ([], {"box"}),
    "center": ([], {"point"}),
    "pose": ([JOINTS], {"box", "keypoints"}),
    "quads": ([], {"box", "corners"}),
    "rotated": ([], {"box", "corners", "angle"}),
}
HIDE = "score.max = 1.01, score.value = 1.01, score.dispatchEvent(new Event('input'))"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium")
    with open_tab(program, tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def write_toy(folder: Path, task: str, more: list[str]) -> Path:
    """A model file of a task, untrained, whose maps have structure."""
    size = f"data.input_size={list(INPUT_HW)}"
    config = load_config("nano", ["classes=[red, green]", size, "model.top_k=40", f"task={task}", *more])
    torch.manual_seed(0)
    detector = build_detector(config)
    give_structure(detector, INPUT_HW)
    save_named(folder, config, detector, task)
    return folder / f"{task}.safetensors"


def paint(path: Path, number: int) -> Path:
    """A painted picture of another size than the input."""
    Image.fromarray(synthetic_images(number + 1, (211, 300))[number].transpose(1, 2, 0)).save(path, "PNG")
    return path


@pytest.mark.soak
@pytest.mark.parametrize("task", TASKS)
def test_the_page_finds_and_draws_what_predict_finds(task: str, tab: Tab, tmp_path: Path) -> None:
    try:
        find_runtime()
    except InputError as error:
        pytest.skip(str(error))
    more, values = TASKS[task]
    export_model(*load_detector(write_toy(tmp_path, task, more)), tmp_path / "page", "web")
    painted = paint(tmp_path / "picture", 0)
    ours = to_dict("", (211, 300), load(tmp_path / "page" / "model.onnx")(painted).above(0.3))["detections"]
    assert len(ours) > 4
    assert all(set(each) == {"label", "score", *values} for each in ours)

    tab.errors.clear()
    with serve(tmp_path) as address:
        visit(tab, f"{address}/page/")
        tab.wait_for("window.centerx")
        choose(tab, painted)
        told = tab.wait_for(f"{STATUS}.textContent.includes(' ms') && {STATUS}.textContent")
        found = tab.evaluate("fetch('/picture').then((answer) => answer.blob()).then((blob) => centerx.detect(blob))")
    assert told.startswith(f"{len(ours)} objects, ")
    theirs = [each for each in found if each["score"] >= 0.3]
    assert [each["label"] for each in theirs] == [each["label"] for each in ours]
    for name in ("score", *values):
        limit = 0.001 if name == "score" else 0.5
        np.testing.assert_allclose([each[name] for each in theirs], [each[name] for each in ours], rtol=0, atol=limit)

    drawn_at = [place for each in ours for place in each.get("keypoints", each.get("corners", ()))]
    drawn_at += [each.get("point", each.get("box")) for each in ours]
    x, y = next((x, y) for x, y, *_ in drawn_at if 8 < x < 292 and 8 < y < 203)
    pixels = f"""(() => {{
        const unit = canvas.width / 300;
        return [...canvas.getContext("2d").getImageData({x} * unit - 5, {y} * unit - 5, 10, 10).data].join();
    }})()"""
    drawn = tab.evaluate(pixels)
    tab.evaluate(HIDE)
    assert tab.evaluate(f"{STATUS}.textContent").startswith("0 objects, ")
    assert tab.evaluate(pixels) != drawn
    assert tab.errors == []


@pytest.mark.soak
@pytest.mark.filterwarnings("error:constrained_layout not applied")
def test_a_report_fits_every_screen_and_tells_no_error(tab: Tab, tmp_path: Path) -> None:
    names = ("red", "a class with a name that is longer than the screen of a phone is wide, by a few letters")
    model = write_toy(tmp_path, "boxes", [f"classes={list(names)}"])
    (tmp_path / "data").mkdir()
    found = [centerx.load(model)(paint(tmp_path / "data" / f"{number}.png", number)) for number in range(4)]
    rows = [
        {"id": 10 * image + row, "image_id": image, "category_id": int(label), "bbox": [*low, *(high - low)]}
        for image, each in enumerate(found)
        for row, (label, low, high) in enumerate(
            zip(each.labels[:5], each.boxes[:5, :2].round(), each.boxes[:5, 2:].round() + 1, strict=True)
        )
    ]
    labels = {
        "images": [{"id": image, "file_name": f"{image}.png", "width": 300, "height": 211} for image in range(4)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
        "annotations": [row | {"bbox": [float(value) for value in row["bbox"]]} for row in rows],
    }
    (tmp_path / "data" / "labels.json").write_text(json.dumps(labels))
    centerx.evaluate(model, tmp_path / "data" / "labels.json", report=tmp_path / "report")

    tab.errors.clear()
    papers = set()
    with serve(tmp_path) as address:
        visit(tab, f"{address}/report/index.html")
        for width in (1280, 390):
            for scheme in ("light", "dark"):
                tab.look(width, 844, scheme)
                assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
                papers.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert tab.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        assert tab.evaluate("document.images.length") > 4
    assert len(papers) == 2
    assert tab.errors == []
