"""A bare folder of images."""

from pathlib import Path

import pytest

from centerx.data.read import read_dataset
from centerx.errors import InputError
from tests.data.handmade import write_picture


def test_every_picture_below_is_one_of_a_data_set_that_labels_nothing(tmp_path: Path) -> None:
    for name in ("b.PNG", "a/pig.jpg", "a/b.png"):
        write_picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    dataset = read_dataset(tmp_path)
    assert dataset.format == "folder"
    assert dataset.class_names == ()
    assert [record.image_id for record in dataset.records] == ["a/b.png", "a/pig.jpg", "b.PNG"]
    assert all(record.objects.boxes.shape == (0, 4) for record in dataset.records)
    assert [record.image_id for record in read_dataset(tmp_path, split="a").records] == ["b.png", "pig.jpg"]
    with pytest.raises(InputError, match="no split 'z'"):
        read_dataset(tmp_path, split="z")


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="no pictures there"):
        read_dataset(tmp_path)
