"""`centerx eval` with mirror images and several scales."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from centerx.build_model import build_detector, save_named
from centerx.config import load_config
from centerx.exporting.parity import synthetic_images
from tests.cli.conftest import CommandLine
from tests.conftest import give_structure


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Painted pictures of the model's input size, with one box each."""
    folder = tmp_path_factory.mktemp("painted")
    for number, pixels in enumerate(synthetic_images(3, (96, 128), seed=4)):
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{number}.png")
    tree = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 128, "height": 96} for n in range(3)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("red", "green", "blue"))],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": n, "bbox": [30, 20, 40, 30], "area": 1200, "iscrowd": 0}
            for n in range(3)
        ],
    }
    path = folder / "data.json"
    path.write_text(json.dumps(tree))
    return path


def figures(centerx: CommandLine, model: Path, data: Path, folder: Path, *options: str) -> dict[str, float]:
    status, _, err = centerx("eval", model, data, "--json", folder / "out.json", *options)
    assert status == 0, err
    tree: dict[str, float] = json.loads((folder / "out.json").read_text())
    return tree


def test_scale_one_given_twice_is_scale_one(centerx: CommandLine, model_file: Path, data: Path, tmp_path: Path) -> None:
    once = figures(centerx, model_file, data, tmp_path)
    twice = figures(centerx, model_file, data, tmp_path, "--scales", "1,1")
    assert once["AR100"] is not None
    for key in ("AP", "AP50", "AR1", "AR10", "AR100"):
        assert twice[key] == pytest.approx(once[key], abs=1e-6)


def test_the_session_sees_the_sizes_and_mirror_images_asked_for(
    centerx: CommandLine, model_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from centerx.models import CenterNet

    seen: list[np.ndarray] = []
    whole = CenterNet.forward

    def watch(self: CenterNet, images: object) -> object:
        seen.append(images.numpy())  # type: ignore[attr-defined]
        return whole(self, images)  # type: ignore[arg-type]

    monkeypatch.setattr(CenterNet, "forward", watch)
    figures(centerx, model_file, data, tmp_path, "--flip", "--scales", "0.5,1,1.25")
    seen = [each for each in seen if each.any()]  # without the trial of a size
    assert [each.shape[2:] for each in seen] == [(64, 64), (64, 64), (96, 128), (96, 128), (128, 160), (128, 160)]
    for straight, mirrored in zip(seen[::2], seen[1::2], strict=True):
        np.testing.assert_array_equal(mirrored, straight[..., ::-1])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--scales", "1,big"], "--scales: '1,big' is not a list of numbers above 0, such as 0.75,1,1.25"),
        (["--scales", "0"], "not a list of numbers above 0"),
        (["--scales", "nan"], "not a list of numbers above 0"),
    ],
)
def test_wrong_scales_are_one_line(
    centerx: CommandLine, model_file: Path, data: Path, options: list[str], says: str
) -> None:
    status, _, err = centerx("eval", model_file, data, *options)
    assert status == 2
    assert says in err


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """120 objects of one class on a picture, and results that find each of them."""
    folder = tmp_path_factory.mktemp("crowded")
    Image.new("RGB", (128, 96), (114, 114, 114)).save(folder / "full.png")
    boxes = [[10 * (k % 12), 9 * (k // 12), 8, 8] for k in range(120)]
    tree = {
        "images": [{"id": 7, "file_name": "full.png", "width": 128, "height": 96}],
        "categories": [{"id": 1, "name": "red"}],
        "annotations": [
            {"id": k + 1, "image_id": 7, "category_id": 1, "bbox": box, "area": 64, "iscrowd": 0}
            for k, box in enumerate(boxes)
        ],
    }
    found = [{"image_id": 7, "category_id": 1, "bbox": box, "score": 1 - k / 200} for k, box in enumerate(boxes)]
    for name, content in (("data.json", tree), ("found.json", found)):
        (folder / name).write_text(json.dumps(content))
    return folder / "data.json", folder / "found.json"


def test_the_cap_is_told_and_lifted_under_another_name(
    centerx: CommandLine, crowded: tuple[Path, Path], tmp_path: Path
) -> None:
    data, found = crowded
    judged = tmp_path / "out.json"
    status, out, err = centerx("eval", found, data, "--json", judged)
    assert status == 0
    [line] = err.splitlines()
    assert line.startswith("warning: more objects of a class than the 100 detections that count, on 1 of 1 pictures: ")
    assert "full.png has 120 of 'red'" in line
    assert "AR, 100 detections" in out
    tree = json.loads(judged.read_text())
    assert list(tree) == [
        "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl", "per_class", "images",
    ]  # fmt: skip
    assert tree["AP"] == pytest.approx(84 / 101)  # of 120 found are 100: recalls of 0, 0.01 to 0.83
    status, out, err = centerx("eval", found, data, "--json", judged, "--max-detections", 120)
    assert (status, err) == (0, "")
    tree = json.loads(judged.read_text())
    assert (tree["AP"], tree["AR120"], tree["max_detections"]) == (pytest.approx(1), pytest.approx(1), 120)
    assert "AR100" not in tree
    for title in ("AP, IoU 0.50:0.95", "AR", "AP, red"):
        assert f"{title}, 120 detections" in out
    assert "100 detections" not in out
    status, _, err = centerx("eval", found, data, "--max-detections", 9)
    assert status == 2
    assert "--max-detections" in err


def test_more_objects_than_the_model_can_find_are_told(
    centerx: CommandLine, model_file: Path, crowded: tuple[Path, Path]
) -> None:
    status, _, err = centerx("eval", model_file, crowded[0], "--max-detections", 120)
    assert status == 0
    told = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(told) == 1
    assert "too_many_objects: 1 doubtful: " in told[0]
    assert told[0].endswith("has 120 objects, of which a model with model.top_k=60 can find 60")


@pytest.mark.parametrize("option", ["--flip", "--scales=1,2"])
def test_an_exported_file_takes_one_size(centerx: CommandLine, onnx_file: Path, data: Path, option: str) -> None:
    status, _, err = centerx("eval", onnx_file, data, option)
    assert status == 2
    assert re.search(r"error: .*model.onnx: --flip and --scales need a .safetensors model file", err)


def test_a_report_is_named_and_its_place_is_tried_first(
    centerx: CommandLine, crowded: tuple[Path, Path], tmp_path: Path
) -> None:
    data, found = crowded
    status, out, err = centerx("eval", found, data, "--report", tmp_path / "new" / "report", "--max-detections", 120)
    assert (status, err) == (0, "")
    page = tmp_path / "new" / "report" / "index.html"
    assert f"report: {page}" in out.replace("\n", "")
    assert page.is_file()
    assert json.loads(page.with_name("report.json").read_text())["metrics"]["AR120"] == pytest.approx(1)
    (tmp_path / "file").write_text("")
    status, out, err = centerx("eval", found, data, "--report", tmp_path / "file")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {tmp_path / 'file'}: ")
    status, out, err = centerx("eval", found, data, "--report", tmp_path / "voc", "--metric", "voc")
    assert (status, out) == (2, "")
    assert err == "error: --report: has the figures of COCO, leave it or --metric voc out\n"
    assert not (tmp_path / "voc").exists()


def test_voc_is_told_and_written(centerx: CommandLine, model_file: Path, data: Path, tmp_path: Path) -> None:
    status, out, err = centerx("eval", model_file, data, "--metric", "voc", "--json", tmp_path / "out.json")
    assert status == 0, err
    assert "11 points (VOC2007)" in out
    tree = json.loads((tmp_path / "out.json").read_text())
    assert list(tree["per_class_11point"]) == ["red", "green", "blue"]
    coco = figures(centerx, model_file, data, tmp_path)
    assert {"AP", "APs"} <= coco.keys() - tree.keys()


def test_tiles_of_eval_and_pseudo(centerx: CommandLine, model_file: Path, data: Path, tmp_path: Path) -> None:
    """Labels that a model gave by tiles are found again by the same tiles alone; one tile a picture changes nothing."""
    aps = {}
    for given in (["--tiles", "64"], []):
        labels = tmp_path / f"{len(given)}.json"
        status, _, err = centerx("pseudo", model_file, data.parent, "--out", labels, "--score", "0.6", *given)
        assert status == 0, err
        for options in (["--tiles", "64"], ["--tiles", "96x128"], []):
            aps["".join(given), "".join(options)] = figures(centerx, model_file, labels, tmp_path, *options)["AP"]
    assert aps["--tiles64", "--tiles64"] == aps["", ""] == aps["", "--tiles96x128"] == pytest.approx(1, abs=0.02)
    assert aps["--tiles64", ""] < 0.7
    assert aps["", "--tiles64"] < 0.7


EVIL = [
    "<script>x()</script>",
    "a' onload='x()",
    '"><img src=x onerror=x()>',
    "</script>-->",
    "$x_{$",
    "\u202egpj",
    "{{7}}",
]


def test_pages_hold_nothing_of_names_but_their_text(
    centerx: CommandLine, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of classes, models, folders and files, in the pages of `eval` and `audit`."""
    monkeypatch.chdir(tmp_path)
    config = load_config("nano", {"classes": EVIL, "data.input_size": [96, 96], "model.top_k": 60})
    torch.manual_seed(0)
    detector = build_detector(config)
    give_structure(detector, (96, 96))
    save_named(tmp_path, config, detector, "<b onload='x()'>")
    pictures = Path("<img src=x onerror='x()'>")
    shutil.copytree(scenes.parent / "train", pictures)
    tree = json.loads(scenes.read_text())
    tree["categories"] = [{"id": number, "name": name} for number, name in enumerate(EVIL, 1)]
    for number, each in enumerate(tree["annotations"]):
        each["category_id"] = number % len(EVIL) + 1
    for each in tree["images"]:
        file = pictures / Path(each["file_name"]).name
        each["file_name"] = str(file.rename(pictures / f"<i onload='x()'>{file.name}"))
    Path("labels<b>.json").write_text(json.dumps(tree))
    model = "<b onload='x()'>.safetensors"
    assert centerx("eval", model, "labels<b>.json", "--report", "report")[0] == 0
    assert centerx("audit", "labels<b>.json", "--models", model, "--out", "audit")[0] == 0
    for page in ("report/index.html", "audit/index.html"):
        html = Path(page).read_text()
        tags = Tags()
        tags.feed(html)
        assert {tag for tag, _ in tags.found} <= TAGS
        for _, attributes in tags.found:
            assert not [name for name in attributes if name.startswith("on")]
            for name in ("src", "href"):
                assert (attributes.get(name) or "#section-").startswith(("#section-", "data:image/"))
        assert "&lt;i onload=&#39;x()&#39;&gt;" in html
        assert "&lt;script&gt;x()&lt;/script&gt;" in html


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "h3",
        "p",
        "nav",
        "ul",
        "li",
        "a",
    ),
    *("main", "section", "div", "table", "caption", "thead", "tr", "th", "tbody", "td", "figure", "img", "figcaption"),
}
