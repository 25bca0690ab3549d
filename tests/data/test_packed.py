"""Data sets of Hugging Face with their pictures inside; the `datasets` package writes them, and reads what we write."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from centerx.data.dataset import Dataset
from centerx.data.huggingface import write
from centerx.data.packed import is_packed, unpack
from centerx.data.read import read_dataset
from centerx.errors import InputError
from tests.data.handmade import objects_by_name, write_picture, write_text
from tests.made import make_record

pytestmark = pytest.mark.slow  # the package imports torch
WH = 40, 30


@pytest.fixture(scope="module")
def datasets() -> Any:
    return pytest.importorskip("datasets")


def saved(datasets: Any, folder: Path, with_names: bool = True) -> Any:
    """A data set of two pictures, one without objects."""
    value, sequence = datasets.Value, datasets.Sequence
    category = datasets.ClassLabel(names=["dog", "cat"]) if with_names else value("int64")
    objects = {"bbox": sequence(sequence(value("float32"), length=4)), "category": sequence(category)}
    features = datasets.Features({"image_id": value("int64"), "image": datasets.Image(), "objects": objects})
    rows = {
        "image_id": [1, 2],
        "image": [str(write_picture(folder / f"{name}.png", WH, grey)) for name, grey in (("a", 10), ("b", 200))],
        "objects": [{"bbox": [[4, 6.5, 10, 15]], "category": [1]}, {"bbox": [], "category": []}],
    }
    return datasets.Dataset.from_dict(rows, features=features)


@pytest.mark.parametrize("form", ["folder", "splits", "parquet"])
def test_what_the_library_saved_is_unpacked(datasets: Any, tmp_path: Path, form: str) -> None:
    whole, place = saved(datasets, tmp_path / "source"), tmp_path / "saved"
    if form == "folder":
        whole.save_to_disk(place)
    elif form == "splits":
        datasets.DatasetDict(train=whole, test=whole.select([1])).save_to_disk(place)
    else:
        (place / "data").mkdir(parents=True)
        whole = whole.with_format("arrow").map(datasets.table.embed_table_storage, batched=True)
        whole.to_parquet(place / "data" / "train-00000-of-00001.parquet")
        whole.select([1]).to_parquet(place / "data" / "test-00000-of-00001.parquet")
    assert is_packed(place)
    split = None if form == "folder" else "train"
    if split:
        with pytest.raises(InputError, match="which split of test, train"):
            unpack(place, tmp_path / "out")
    unpack(place, tmp_path / "out", split)
    found = read_dataset(tmp_path / "out")
    assert found.problems == []
    assert objects_by_name(found) == {"000000.png": [("cat", (4, 6.5, 14, 21.5))], "000001.png": []}
    sources = [tmp_path / "source" / name for name in ("a.png", "b.png")]
    assert [record.image.read_bytes() for record in found.records] == [file.read_bytes() for file in sources]


def test_categories_without_names_stay_numbers(datasets: Any, tmp_path: Path) -> None:
    saved(datasets, tmp_path / "source", with_names=False).save_to_disk(tmp_path / "saved")
    unpack(tmp_path / "saved", tmp_path / "out")
    assert read_dataset(tmp_path / "out").class_names == ("1",)


def test_what_cannot_be_unpacked_is_one_line(datasets: Any, tmp_path: Path) -> None:
    broken = write_text(tmp_path / "train.parquet", b"PAR1" + bytes(50))
    with pytest.raises(InputError, match=r"train\.parquet: malformed table"):
        unpack(broken, tmp_path / "out")
    datasets.Dataset.from_dict({"image": ["x"], "label": [1]}).to_parquet(broken)
    with pytest.raises(InputError, match="has no column 'objects', which data of objects needs; it has image, label"):
        unpack(broken, tmp_path / "out")
    datasets.Dataset.from_dict({"image": ["x"], "objects": [{"bbox": []}]}).to_parquet(broken)
    with pytest.raises(InputError, match="the picture is not inside, only its path 'x'"):
        unpack(broken, tmp_path / "out")


def test_the_library_reads_what_we_write(datasets: Any, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "source" / "猫.png", WH)
    record = make_record(picture, 1, [[4, 6.5, 14, 21.5], [1, 2, 3, 4]], [1, 0], [False, True])
    write(Dataset(tmp_path, "memory", ("dog", "cat"), (1, 2), [record], []), tmp_path / "target", "train")
    back = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "target"), split="train", cache_dir=str(tmp_path / "cache")
    )
    (row,) = list(back)
    objects = row["objects"]
    assert objects["categories"] == ["cat", "dog"]
    assert objects["iscrowd"] == [0, 1]
    np.testing.assert_allclose(objects["bbox"], [[4, 6.5, 10, 15], [1, 2, 2, 2]])
    assert row["image"].size == WH
    lines = (tmp_path / "target" / "train" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["file_name"] for line in lines] == ["猫.png"]
