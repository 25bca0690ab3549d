"""`centerx audit`: what was planted is found, shown, and fixed in a file that is read back."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from centerx.api.audit import audit
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource

from .conftest import CommandLine

DIGITS = ",".join("0123456789")


@pytest.fixture(scope="module")
def planted(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """Labels with an error of each kind, detections that are right, and the annotations meant by kind."""
    folder = tmp_path_factory.mktemp("planted")
    tree = json.loads(scenes.read_text())
    for image in tree["images"]:
        image["file_name"] = os.path.relpath(scenes.parent / image["file_name"], folder)
    results = [
        {key: each[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9} for each in tree["annotations"]
    ]
    of_image: dict[int, list[dict[str, Any]]] = {}
    for each in tree["annotations"]:
        of_image.setdefault(each["image_id"], []).append(each)
    missing, wrong, moved, doubled, free = (of_image[image][0] for image in sorted(of_image)[:5])
    meant = {
        "missing": dict(missing),
        "class": wrong,
        "place": moved,
        "doubled": {**doubled, "id": 9001, "bbox": narrower(doubled["bbox"])},
    }
    tree["annotations"].remove(missing)
    wrong["category_id"] = next(each["id"] for each in tree["categories"] if each["id"] != wrong["category_id"])
    x, y, width, height = moved["bbox"]
    moved["bbox"] = [x, y, width, height * 0.5]
    tree["annotations"].append(meant["doubled"])
    counts = Counter(each["category_id"] for each in tree["annotations"])
    most = max(counts, key=lambda each: counts[each])  # more of them tell better that this one is an exception
    meant["spurious"] = {**free, "id": 9002, "category_id": most, "bbox": empty_place(of_image[free["image_id"]])}
    tree["annotations"].append(meant["spurious"])
    labels, found = folder / "labels.json", folder / "found.json"
    labels.write_text(json.dumps(tree))
    found.write_text(json.dumps(results))
    return labels, found, meant


def narrower(bbox: list[float]) -> list[float]:
    x, y, width, height = bbox
    return [x, y, width * 0.9, height]


def empty_place(annotations: list[dict[str, Any]]) -> list[float]:
    """A box of 12 x 12 pixels that touches no other on a picture of 96 x 96."""
    for x in range(0, 84, 6):
        for y in range(0, 84, 6):
            apart = [
                x + 12 <= left or left + width <= x or y + 12 <= top or top + height <= y
                for left, top, width, height in (each["bbox"] for each in annotations)
            ]
            if all(apart):
                return [x, y, 12, 12]
    raise AssertionError("no room")


def xyxy(annotation: dict[str, Any]) -> list[float]:
    x, y, width, height = annotation["bbox"]
    return [x, y, x + width, y + height]


def test_what_was_planted_is_found_and_nothing_else(
    centerx: CommandLine, planted: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    labels, found, meant = planted
    before = labels.read_bytes()
    status, out, err = centerx("audit", labels, "--models", found, "--least", 0.3, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert f"page: {tmp_path}/out/index.html" in out
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    some = [each for each in report["suspicions"] if each["change"]]
    assert sorted(each["kind"] for each in some) == sorted(meant)
    assert [each["score"] for each in report["suspicions"]] == sorted(
        (each["score"] for each in report["suspicions"]), reverse=True
    )
    for each in some:
        assert each["image_id"] == meant[each["kind"]]["image_id"]
        np.testing.assert_allclose(each["box"], xyxy(meant[each["kind"]]), atol=0.02)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/jpeg") == 5
    assert all(each["reason"] in page for each in some)
    assert labels.read_bytes() == before


def test_a_second_run_writes_the_same(planted: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    runs = []
    for _ in range(2):
        audit(planted[0], planted[1], out=tmp_path / "out")
        runs.append({file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()})
        shutil.rmtree(tmp_path / "out")
    assert set(runs[0]) == {"index.html", "audit.json", "fixed.json"}
    assert runs[0] == runs[1]


@pytest.mark.parametrize("fix", ["ignore", "declare", "apply"])
def test_the_fixed_file_is_read_back(
    centerx: CommandLine, planted: tuple[Path, Path, dict[str, Any]], scenes: Path, tmp_path: Path, fix: str
) -> None:
    labels, found, meant = planted
    assert centerx("audit", labels, "--models", found, "--fix", fix, "--least", 0.3, "--out", tmp_path)[0] == 0
    fixed, right = read_dataset(tmp_path / "fixed.json"), read_dataset(scenes)
    entries = SampleSource([fixed], right.class_names).entries
    missing = right.category_ids.index(meant["missing"]["category_id"])
    lacking = [(entry.record.image_id, label) for entry in entries for label in np.flatnonzero(~entry.supervised[:, 0])]
    assert lacking == ([(meant["missing"]["image_id"], missing)] if fix == "declare" else [])
    if fix == "apply":  # the labels are those from before anything was planted
        for ours, theirs in zip(fixed.records, right.records, strict=True):
            np.testing.assert_allclose(by_place(ours), by_place(theirs), atol=0.02)
    else:
        sure = sum(int((~record.ignore).sum()) for record in fixed.records)
        where = next(each for each in right.records if each.image_id == meant["missing"]["image_id"])
        others = np.count_nonzero(where.labels == missing) - 1  # of the class that lacks a label, on its picture
        total = sum(len(record.labels) for record in right.records)
        assert sure == total - 1 - 2 - (others if fix == "declare" else 0)  # missing, of a wrong class or place


def by_place(record: Any) -> np.ndarray:
    rows = np.column_stack([record.boxes, record.labels, record.ignore])
    return rows[np.lexsort(rows[:, :2].round().T)]


def test_a_model_file_judges_classes_that_are_renamed(
    centerx: CommandLine, onnx_file: Path, scenes: Path, tmp_path: Path
) -> None:
    words = ["audit", scenes, "--models", onnx_file, "--classes", "0=red,1=green,2=blue", "--out", tmp_path]
    status, out, _ = centerx(*words, "--least", 0.1, "--show", 3)
    assert status == 0
    report = json.loads((tmp_path / "audit.json").read_text())
    assert {each["label"] for each in report["suspicions"]} <= {"red", "green", "blue"}
    assert (tmp_path / "index.html").read_text().count("data:image/jpeg") <= 15
    assert "of 24 pictures" in out


def test_a_class_that_no_model_knows_is_told(
    centerx: CommandLine, onnx_file: Path, scenes: Path, tmp_path: Path
) -> None:
    _, _, err = centerx("audit", scenes, "--models", onnx_file, "--classes", "0=red,1", "--out", tmp_path)
    assert "warning: 1: found by none of the models, their labels are not judged" in err


def test_pictures_that_are_in_two_splits_are_told(
    centerx: CommandLine, onnx_file: Path, scenes: Path, tmp_path: Path
) -> None:
    tree = json.loads(scenes.read_text())
    first = tree["images"][3]
    copy = tmp_path / "val" / "copy.jpg"
    copy.parent.mkdir()
    with Image.open(scenes.parent / first["file_name"]) as image:
        image.convert("RGB").resize((80, 80)).save(copy, quality=80)
    annotations = [{**each, "bbox": [5, 5, 20, 20]} for each in tree["annotations"] if each["image_id"] == first["id"]]
    image = {"id": 1, "file_name": "copy.jpg"}
    annotations = [{**each, "image_id": 1} for each in annotations]
    val = tmp_path / "val" / "labels.json"
    val.write_text(json.dumps({"images": [image], "categories": tree["categories"], "annotations": annotations}))
    words = ["audit", scenes, val, "--models", onnx_file, "--classes", "0=red,1=green,2=blue,3,4,5,6,7,8,9"]
    status, out, _ = centerx(*words, "--out", tmp_path / "out")
    assert status == 0
    assert "1 of them of two data sets" in out
    report = json.loads((tmp_path / "out" / "audit.json").read_text())
    across = [each for each in report["similar"] if len(set(each["data"])) > 1]
    assert [Path(each["second"]) for each in across] == [copy]
    assert Path(across[0]["first"]).name == Path(first["file_name"]).name
    assert {file.name for file in (tmp_path / "out").glob("fixed*")} == {
        f"fixed_{scenes.stem}.json",
        "fixed_labels.json",
    }


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("audit {scenes} --models gone.onnx", "gone.onnx"),
        ("audit gone.json --models {model}", "gone.json: no such file or folder"),
        ("audit {scenes} --models {model} --fix applx", "--fix: no 'applx' (did you mean 'apply'?)"),
        ("audit {scenes} --models {model}", "rename the classes in one of them"),
        ("audit {scenes} {scenes} --models {found}", "detections in a json are of one data set"),
        ("audit {pictures} --models {model}", "no labels on any of"),
        ("audit {out}/fixed.json --models {found} --out {out}", "is read by this command and would be overwritten"),
        ("audit --models {model}", "Missing argument"),
    ],
)
def test_wrong_input_is_one_line(
    centerx: CommandLine,
    onnx_file: Path,
    scenes: Path,
    planted: tuple[Path, Path, dict[str, Any]],
    tmp_path: Path,
    words: str,
    line: str,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(planted[0], out / "fixed.json")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (32, 32)).save(pictures / "a.png")
    names = {"scenes": scenes, "model": onnx_file, "found": planted[1], "out": out, "pictures": pictures}
    status, _, err = centerx(
        *[word.format(**names) for word in words.split()], *([] if "--out" in words else ["--out", tmp_path / "x"])
    )
    assert status == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert line in err
    assert not (tmp_path / "x").exists()
