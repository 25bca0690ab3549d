"""Merged sets: classes by name, what each picture labels, pictures that are there twice, and those that look alike."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset
from centerx.data.records import Record
from centerx.data.similar import LEAST, describe_pictures, find_similar, group_similar
from centerx.data.source import SampleSource
from centerx.data.union import merge_datasets
from centerx.data.write import coco_tree
from centerx.files import write_json
from centerx.images import list_images
from centerx.problems import Kind
from tests.data.handmade import write_picture, write_text
from tests.made import make_record


def made(name: str, names: tuple[str, ...], *records: Record) -> Dataset:
    return Dataset(Path(name), "memory", names, tuple(range(len(names))), list(records), [])


def objects_of(dataset: Dataset, record: Record) -> list[tuple[str, list[float]]]:
    return sorted(
        (dataset.class_names[label], box) for label, box in zip(record.labels, record.boxes.tolist(), strict=True)
    )


def labelled(dataset: Dataset) -> list[set[str] | None]:
    return [
        None if record.labelled is None else {dataset.class_names[label] for label in record.labelled}
        for record in dataset.records
    ]


def test_each_picture_labels_the_classes_of_its_set(tmp_path: Path) -> None:
    a, b = (write_picture(tmp_path / name / "x.png", grey=grey) for name, grey in (("a", 10), ("b", 20)))
    first = made("a", ("cat", "ox"), make_record(a, 1, [[1, 2, 3, 4]], [1]))
    second = made("b", ("pig", "cat"), make_record(b, 1, [[5, 6, 7, 8]], [1]))
    merged = merge_datasets([first, second])
    assert (merged.class_names, merged.problems) == (("cat", "ox", "pig"), [])
    assert labelled(merged) == [{"cat", "ox"}, {"pig", "cat"}]
    assert [objects_of(merged, record) for record in merged.records] == [
        [("ox", [1, 2, 3, 4])],
        [("cat", [5, 6, 7, 8])],
    ]
    write_json(tmp_path / "out" / "both.json", coco_tree(merged, tmp_path / "out"))
    back = read_dataset(tmp_path / "out" / "both.json")
    assert back.problems == []
    assert labelled(back) == labelled(merged)
    assert [record.image.resolve() for record in back.records] == [a.resolve(), b.resolve()]
    supervised = [entry.supervised[:, 0].tolist() for entry in SampleSource([back], merged.class_names).entries]
    assert supervised == [[True, True, False], [True, False, True]]


def test_sets_of_the_same_classes_are_labelled_wholly(tmp_path: Path) -> None:
    a, b = (write_picture(tmp_path / name / "x.png") for name in "ab")
    merged = merge_datasets(
        [made("a", ("cat",), make_record(a, 1, [], [])), made("b", ("cat",), make_record(b, 1, [], []))]
    )
    assert labelled(merged) == [None, None]


def twice(tmp_path: Path, second_boxes: list[list[float]], copy: bool = True) -> list[Dataset]:
    """One picture in two sets: cat and ox in the first, cat and pig in the second."""
    a = write_picture(tmp_path / "a" / "x.png")
    b = tmp_path / "b" / "y.png"
    b.parent.mkdir()
    if copy:
        shutil.copyfile(a, b)
    first = make_record(a, 1, [[1, 2, 11, 12], [5, 5, 9, 9]], [0, 1])
    second = make_record(
        b if copy else tmp_path / "b" / ".." / "a" / "x.png",
        1,
        [*second_boxes, [20, 2, 30, 12]],
        [0] * len(second_boxes) + [1],
    )
    return [made("a", ("cat", "ox"), first), made("b", ("cat", "pig"), second)]


@pytest.mark.parametrize("copy", [True, False])
def test_one_picture_of_two_sets_has_the_labels_of_both(tmp_path: Path, copy: bool) -> None:
    merged = merge_datasets(twice(tmp_path, [[1.2, 2, 11, 12]], copy), exact=copy)
    (record,) = merged.records
    assert objects_of(merged, record) == [("cat", [1, 2, 11, 12]), ("ox", [5, 5, 9, 9]), ("pig", [20, 2, 30, 12])]
    assert labelled(merged) == [None]
    assert [problem.kind for problem in merged.problems] == [Kind.REPEATED_PICTURE]


@pytest.mark.parametrize("boxes", [[], [[1, 2, 6, 7]], [[1, 2, 11, 12], [20, 20, 25, 25]]])
def test_other_objects_of_a_class_are_a_conflict_and_the_first_set_is_believed(
    tmp_path: Path, boxes: list[list[float]]
) -> None:
    merged = merge_datasets(twice(tmp_path, boxes), exact=True)
    assert objects_of(merged, merged.records[0])[0] == ("cat", [1, 2, 11, 12])
    assert len(merged.records[0].labels) == 3
    assert [problem.kind for problem in merged.problems] == [Kind.CONFLICTING_LABELS, Kind.REPEATED_PICTURE]
    assert "b has other objects of cat than the sets before it" in merged.problems[0].what


def test_copies_are_two_pictures_unless_asked(tmp_path: Path) -> None:
    assert len(merge_datasets(twice(tmp_path, [])).records) == 2


def noise(seed: int) -> Image.Image:
    """A picture of soft blobs, as unlike others as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((240, 180), Image.Resampling.BICUBIC)


def pictures(folder: Path) -> list[Record]:
    """Two pictures; of the first a smaller copy, a worse one, a copy of that, and one that cannot be read."""
    folder.mkdir(exist_ok=True)
    noise(0).save(folder / "a.png")
    noise(1).save(folder / "b.png")
    noise(0).resize((120, 90)).save(folder / "c.jpg", quality=50)
    noise(0).save(folder / "d.jpg", quality=30)
    shutil.copyfile(folder / "d.jpg", folder / "e.jpg")
    write_text(folder / "f.jpg", "no picture")
    return [make_record(picture, picture.stem, [[1, 2, 3, 4]], [0]) for picture in list_images(folder)]


def groups(records: list[Record]) -> list[int]:
    vectors = describe_pictures(records)
    return group_similar(find_similar(vectors), len(vectors)).tolist()


def test_copies_are_one_group_and_what_cannot_be_read_is_its_own(tmp_path: Path) -> None:
    assert groups(pictures(tmp_path)) == [0, 1, 0, 0, 0, 5]
    assert groups([]) == []


def test_chains_are_one_group_whatever_the_order() -> None:
    degrees = np.deg2rad([70, 150, 0, 40, 20, 55])  # a step of 20 degrees is nearly the same, of 30 is not
    assert np.cos(np.deg2rad(20)) > LEAST > np.cos(np.deg2rad(30))
    vectors = np.column_stack([np.cos(degrees), np.sin(degrees)]).astype(np.float32)
    assert group_similar(find_similar(vectors), 6).tolist() == [0, 1, 0, 0, 0, 0]


def test_a_merge_can_leave_out_what_looks_alike(tmp_path: Path) -> None:
    merged = merge_datasets([made("a", ("ox",), *pictures(tmp_path / "a"))], exact=True, near=True)
    assert [record.image.name for record in merged.records] == ["a.png", "b.png", "f.jpg"]
    expected = [Kind.REPEATED_PICTURE, Kind.NEAR_DUPLICATE, Kind.NEAR_DUPLICATE]
    assert [problem.kind for problem in merged.problems] == expected


def test_real_pictures_are_not_alike_and_frames_of_a_video_are(shared_data: Path) -> None:
    def count(folder: str, most: int) -> int:
        files = list_images(shared_data / folder)[:most]
        return len(set(groups([make_record(file, file.name, [], []) for file in files])))

    assert count("coco_mini", 40) == 40
    assert count("tracking/TUD-Campus", 20) == 1
