"""`centerx pseudo`: an ordinary COCO file that can be trained on, and scores chosen on labelled data."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import centerx
from centerx.cli.main import app
from centerx.data.read import read_dataset
from centerx.data.source import SampleSource
from centerx.draw import save_image
from centerx.errors import InputError
from centerx.evaluation.coco import best_thresholds
from centerx.exporting.parity import synthetic_images
from centerx.images import read_image
from centerx.types import Detections


def test_labels_are_what_the_model_finds(onnx_file: Path, scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels" / "pseudo.json"
    app(
        ["pseudo", str(onnx_file), str(scenes.parent / "train"), "--out", str(out), "--score", "0.4"],
        standalone_mode=False,
    )
    tree = json.loads(out.read_text())
    assert tree["info"]["sha256"] == hashlib.sha256(onnx_file.read_bytes()).hexdigest()
    assert tree["info"]["scores_from"] == dict.fromkeys(["red", "green", "blue"], 0.4)

    dataset = read_dataset(out)
    assert dataset.class_names == ("red", "green", "blue")
    assert [record.image_id for record in dataset.records] == list(range(1, 25))
    predictor = centerx.load(onnx_file)
    for record in dataset.records[:3]:
        found = predictor(read_image(record.image)).above(0.4)
        keep = (found.boxes[:, :2] < found.boxes[:, 2:]).all(axis=1)
        np.testing.assert_allclose(record.objects.boxes, found.boxes[keep], atol=1e-3)
        written = [a["score"] for a in tree["annotations"] if a["image_id"] == record.image_id]
        np.testing.assert_allclose(written, found.scores[keep])


def test_a_missing_model_leaves_no_folder(scenes: Path, tmp_path: Path) -> None:
    words = ["pseudo", str(tmp_path / "gone.onnx"), str(scenes), "--out", str(tmp_path / "labels" / "pseudo.json")]
    with pytest.raises(InputError, match=r"gone\.onnx"):
        app(words, standalone_mode=False)
    assert not (tmp_path / "labels").exists()


def test_scores_are_chosen_where_f1_is_best(scenes: Path) -> None:
    """True boxes score 0.8, false ones of one class 0.6 and of another 0.9: the first is cut between."""
    source = SampleSource([read_dataset(scenes)], tuple("0123456789"))
    found = []
    for record, _ in source.entries:
        false = np.array([[0.0, 0, 4, 4]] * 2)
        boxes = np.concatenate([false, record.objects.boxes])
        labels = np.concatenate([[3, 5], record.objects.labels])
        scores = np.concatenate([[0.6, 0.9], np.full(len(record.objects.labels), 0.8)])
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(boxes[order], scores[order], labels[order]))
    chosen = best_thresholds(source.entries, found, source.class_names)
    assert chosen["3"] == pytest.approx(0.8)
    assert chosen["5"] == pytest.approx(0.8)
    assert best_thresholds(source.entries[:1], [found[0].above(2)], source.class_names)["3"] is None


def test_one_rule_only(onnx_file: Path, scenes: Path, tmp_path: Path) -> None:
    arguments = ["pseudo", str(onnx_file), str(scenes), "--out", str(tmp_path / "x.json"), "--score", "0.4"]
    with pytest.raises(InputError, match="leave one of them out"):
        app([*arguments, "--val", str(scenes)], standalone_mode=False)
    with pytest.raises(InputError, match="--split: is that of --val"):
        app([*arguments, "--split", "train"], standalone_mode=False)


def test_only_its_own_files_are_overwritten(onnx_file: Path, scenes: Path, tmp_path: Path) -> None:
    labels, model = shutil.copy(scenes, tmp_path / "labels.json"), shutil.copy(onnx_file, tmp_path / "model.onnx")
    for own in (labels, model):
        before = own.read_bytes()
        with pytest.raises(InputError, match="is there already and not of this command's making"):
            app(["pseudo", str(model), str(scenes), "--out", str(own)], standalone_mode=False)
        assert own.read_bytes() == before
    found, boxes = tmp_path / "found.json", []
    for score, more in ("0", False), ("1", True):
        assert found.exists() is more
        app(["pseudo", str(model), str(scenes), "--out", str(found), "--score", score], standalone_mode=False)
        boxes.append(len(json.loads(found.read_text())["annotations"]))
    assert boxes[0] > boxes[1]


def test_the_split_of_the_pictures_can_be_named(onnx_file: Path, tmp_path: Path) -> None:
    for number, picture in enumerate(synthetic_images(2, (96, 128))):
        save_image(tmp_path / f"{number}.png", picture.transpose(1, 2, 0))
    arguments = ["pseudo", str(onnx_file), str(tmp_path), "--out"]
    app([*arguments, str(tmp_path / "a.json")], standalone_mode=False)
    shutil.copy(tmp_path / "a.json", tmp_path / "b.json")
    with pytest.raises(InputError, match="which of a, b"):
        app([*arguments, str(tmp_path / "c.json")], standalone_mode=False)
    app([*arguments, str(tmp_path / "c.json"), "--images-split", "b"], standalone_mode=False)
    assert len(json.loads((tmp_path / "c.json").read_text())["images"]) == 2


def test_the_ids_of_a_coco_file_are_kept(onnx_file: Path, scenes: Path, tmp_path: Path) -> None:
    tree = json.loads(scenes.read_text())
    tree["images"] = [image | {"id": 10 * image["id"]} for image in tree["images"][:3]]
    tree["annotations"] = []
    numbered = scenes.with_name("numbered.json")
    numbered.write_text(json.dumps(tree))
    app(["pseudo", str(onnx_file), str(numbered), "--out", str(tmp_path / "found.json")], standalone_mode=False)
    numbered.unlink()
    written = json.loads((tmp_path / "found.json").read_text())["images"]
    assert [image["id"] for image in written] == [image["id"] for image in tree["images"]]


def test_where_nothing_can_be_written_nothing_is_labelled(onnx_file: Path, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, name a file in it"):
        app(["pseudo", str(onnx_file), str(scenes), "--out", str(tmp_path)], standalone_mode=False)


def test_a_class_that_no_score_can_be_chosen_for_is_named(
    onnx_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The labelled data is what the model itself finds, of which green and blue are then left out."""
    pictures, val, out = tmp_path / "pictures", tmp_path / "val.json", tmp_path / "found.json"
    pictures.mkdir()
    for number, picture in enumerate(synthetic_images(3, (96, 128))):
        save_image(pictures / f"{number}.png", picture.transpose(1, 2, 0))
    app(["pseudo", str(onnx_file), str(pictures), "--out", str(val), "--score", "0.1"], standalone_mode=False)
    tree = json.loads(val.read_text())
    tree["categories"] = [each for each in tree["categories"] if each["name"] == "red"]
    tree["annotations"] = [each for each in tree["annotations"] if each["category_id"] == tree["categories"][0]["id"]]
    assert tree["annotations"]
    val.write_text(json.dumps(tree))
    app(["pseudo", str(onnx_file), str(pictures), "--out", str(out), "--val", str(val)], standalone_mode=False)
    assert "no score to choose for green, blue" in caplog.text
    info = json.loads(out.read_text())["info"]
    assert info["scores_chosen_on"] == str(val)
    assert (info["scores_from"]["green"], info["scores_from"]["blue"]) == (0.3, 0.3)
    assert info["scores_from"]["red"] != 0.3


def test_classes_without_boxes_share_a_line(
    onnx_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, out = tmp_path / "grey.png", tmp_path / "found.json"
    save_image(picture, np.full((96, 128, 3), 114, np.uint8))
    app(["pseudo", str(onnx_file), str(tmp_path), "--out", str(out), "--score", "0.9"], standalone_mode=False)
    assert capsys.readouterr().out.splitlines() == ["no boxes of red, green, blue", f"{out}: 0 boxes on 1 picture"]
