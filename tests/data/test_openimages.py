"""OpenImages: relative boxes, names by id, and classes that are labelled on some pictures alone."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from centerx.data.dataset import Dataset
from centerx.data.read import read_dataset, scan_dataset
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import write_picture, write_text

COLUMNS = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
CAR, CAT, DOG = "/m/0k4j", "/m/01yrx", "/m/0bt9lr"
NAMES = f"{DOG},Dog\n{CAT},Cat\n{CAR},Car\n/m/03k3r,Horse\n"


def box(own_id: str, class_id: str, corners: str = "0.25,0.5,0.1,0.4", group: int = 0) -> str:
    return f"{own_id},xclick,{class_id},1,{corners},0,0,{group},0,0"


def write_boxes(
    tmp_path: Path, *lines: str, labels: str | None = None, names: str | None = NAMES, split: str = "train"
) -> Path:
    """Write pictures a and b of 40 x 30 pixels and the csv files of a split; `labels` are image-level labels."""
    for stem in "ab":
        write_picture(tmp_path / "images" / f"{stem}.jpg")
    if names is not None:
        write_text(tmp_path / "annotations" / "class-descriptions-boxable.csv", names)
    if labels is not None:
        text = f"ImageID,Source,LabelName,Confidence\n{labels}"
        write_text(tmp_path / "annotations" / f"{split}-annotations-human-imagelabels.csv", text)
    file = tmp_path / "annotations" / f"{split}-annotations-bbox.csv"
    return write_text(file, "\n".join([COLUMNS, *lines, ""]))


def labelled(dataset: Dataset) -> dict[str, set[str]]:
    """The names of the classes that each picture labels."""
    assert all(record.labelled is not None for record in dataset.records)
    return {
        str(record.image_id): {dataset.class_names[label] for label in record.labelled or ()}
        for record in dataset.records
    }


def objects(dataset: Dataset) -> dict[str, list[tuple[str, list[int]]]]:
    """Names and whole corners of every picture's boxes, sorted, by the picture's file name."""
    return {
        record.image.name: sorted(
            (dataset.class_names[label], box)
            for label, box in zip(record.objects.labels, record.objects.boxes.round().astype(int).tolist(), strict=True)
        )
        for record in dataset.records
    }


def kinds(dataset: Dataset) -> list[Kind]:
    return [problem.kind for problem in dataset.problems]


def test_boxes_are_in_pixels_classes_have_names_and_groups_are_ignored(tmp_path: Path) -> None:
    rows = box("a", CAT), box("a", DOG, "0,1,0,1", group=1), box("b", CAT, "0.5,0.75,0.5,1")
    dataset = read_dataset(write_boxes(tmp_path, *rows, labels=""))
    assert dataset.format == "openimages"
    assert dataset.class_names == ("Dog", "Cat"), "as the descriptions list them; those without a box are left out"
    assert dataset.problems == []
    first, second = dataset.records
    assert (first.image, first.image_id) == (tmp_path / "images" / "a.jpg", "a")
    np.testing.assert_allclose(first.objects.boxes, [[10, 3, 20, 12], [0, 0, 40, 30]])
    assert first.objects.labels.tolist() == [1, 0]
    assert first.objects.ignore.tolist() == [False, True]
    np.testing.assert_allclose(second.objects.boxes, [[20, 15, 30, 30]])


def test_a_picture_labels_the_classes_with_boxes_and_those_that_people_found_absent(tmp_path: Path) -> None:
    labels = [
        f"a,verification,{CAT},1",
        f"a,crowdsource-verification,{DOG},0",
        f"a,verification,{CAR},1",  # there, but nobody drew its boxes
        f"b,machine,{CAR},0",  # nobody looked
        f"b,verification,{CAT},0.0",
        f"c,verification,{CAR},0",  # a picture without boxes
        f"d,verification,{CAR},1",
        f"gone,verification,{CAR},0",
    ]
    for stem in "cd":
        write_picture(tmp_path / "images" / f"{stem}.jpg")
    rows = box("a", CAT), box("b", DOG), box("b", CAR, group=1)
    dataset = read_dataset(write_boxes(tmp_path, *rows, labels="\n".join(labels)))
    assert labelled(dataset) == {"a": {"Cat", "Dog"}, "b": {"Dog", "Car", "Cat"}, "c": {"Car"}}
    assert dataset.records[2].objects.boxes.shape == (0, 4)
    assert dataset.problems == []


def test_without_image_level_labels_a_picture_labels_the_classes_of_its_boxes_and_that_is_told(tmp_path: Path) -> None:
    dataset = read_dataset(write_boxes(tmp_path, box("a", CAT), box("b", DOG), box("b", CAT)))
    assert labelled(dataset) == {"a": {"Cat"}, "b": {"Dog", "Cat"}}
    assert kinds(dataset) == [Kind.NO_IMAGE_LABELS]


def test_labels_of_machines_and_of_other_splits_are_not_asked(tmp_path: Path) -> None:
    file = write_boxes(tmp_path, box("a", CAT), box("b", DOG))
    for name in ("validation-annotations-human-imagelabels", "train-annotations-machine-imagelabels"):
        write_text(file.with_name(f"{name}.csv"), f"ImageID,Source,LabelName,Confidence\na,verification,{DOG},0\n")
    dataset = read_dataset(file)
    assert labelled(dataset) == {"a": {"Cat"}, "b": {"Dog"}}
    assert kinds(dataset) == [Kind.NO_IMAGE_LABELS]
    file.with_name("validation-annotations-human-imagelabels.csv").rename(file.with_name("classifications.csv"))
    dataset = read_dataset(file)
    assert labelled(dataset) == {"a": {"Cat", "Dog"}, "b": {"Dog"}}, "labels of no split by name are of all"
    assert dataset.problems == []


def test_a_folder_is_recognised_and_asked_for_a_split(tmp_path: Path) -> None:
    write_boxes(tmp_path, box("a", CAT))
    assert [record.image_id for record in read_dataset(tmp_path).records] == ["a"]
    write_boxes(tmp_path, box("b", DOG), split="validation")
    assert [record.image_id for record in read_dataset(tmp_path, split="validation").records] == ["b"]
    with pytest.raises(InputError, match="which of train-annotations-bbox, validation-annotations-bbox"):
        read_dataset(tmp_path)


def test_a_csv_that_names_more_pictures_than_are_there_finds_them_and_counts_the_others(tmp_path: Path) -> None:
    rows = [box(f"gone{number}", CAR) for number in range(200)]
    dataset = read_dataset(write_boxes(tmp_path, *rows, box("b", CAT), labels=""))
    assert [record.image_id for record in dataset.records] == ["b"]
    assert dataset.class_names == ("Cat",), "what is on pictures that are not there does not count"
    (problem,) = dataset.problems
    assert (problem.kind, problem.times) == (Kind.UNREADABLE_PICTURE, 200)
    assert "gone0" in problem.what


def test_a_csv_of_which_no_picture_is_there_is_an_error(tmp_path: Path) -> None:
    file = write_boxes(tmp_path, box("gone", CAT))
    with pytest.raises(InputError, match=r"gone: no such picture in .*name their folder with images"):
        read_dataset(file)


def test_classes_without_names_are_called_by_their_ids(tmp_path: Path) -> None:
    dataset = read_dataset(write_boxes(tmp_path, box("a", CAT), box("b", "Zebra"), labels="", names=None))
    assert dataset.class_names == (CAT, "Zebra")
    (problem,) = dataset.problems
    assert (problem.kind, problem.times) == (Kind.NUMBERED_CLASSES, 1), "a word is a name"


def test_two_ids_of_one_name_are_one_class(tmp_path: Path) -> None:
    file = write_boxes(tmp_path, box("a", CAT), box("b", DOG), labels="", names=f"{CAT},Pet\n{DOG},Pet\n")
    dataset = read_dataset(file)
    assert dataset.class_names == ("Pet",)
    assert kinds(dataset) == [Kind.REPEATED_CLASS]


def test_other_dialects_are_read(tmp_path: Path) -> None:
    write_picture(tmp_path / "data" / "a.png", (40, 30))
    lines = ["LabelName;ImageID;XMin;YMin;XMax;YMax", "cat;sub/a.png;0,25;0,1;0,5;0,4;"]
    file = write_text(tmp_path / "labels" / "detections.csv", b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    dataset = read_dataset(file)
    assert dataset.class_names == ("cat",)
    np.testing.assert_allclose(dataset.records[0].objects.boxes, [[10, 3, 20, 12]])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("a,xclick", Kind.MALFORMED_ENTRY),
        (box("a", CAT, "0.1,x,0.1,0.2"), Kind.MALFORMED_ENTRY),
        (box("a", ""), Kind.MALFORMED_ENTRY),
        (box("a", CAT, "0.5,0.5,0.1,0.2"), Kind.BOX_WITHOUT_AREA),
        (box("a", CAT, "0.1,nan,0.1,0.2"), Kind.BOX_NOT_FINITE),
        (box("a", CAT, "2,3,0.1,0.2"), Kind.BOX_OUTSIDE),
    ],
)
def test_a_broken_row_costs_itself_alone(tmp_path: Path, line: str, kind: Kind) -> None:
    file = write_boxes(tmp_path, box("b", DOG), line, box("b", CAT), labels="")
    dataset = read_dataset(file)
    (problem,) = dataset.problems
    assert (problem.kind, problem.where) == (kind, f"{file}:3")
    assert sum(len(record.objects.labels) for record in dataset.records) == 2
    assert labelled(dataset).get("a", set()) == set(), "nothing is known of a class whose box is lost"


def test_a_broken_picture_is_told_and_keeps_no_boxes(tmp_path: Path) -> None:
    file = write_boxes(tmp_path, box("a", CAT), box("b", CAT), labels="")
    write_text(tmp_path / "images" / "a.jpg", "not a picture")
    dataset = read_dataset(file)
    assert kinds(dataset) == [Kind.UNREADABLE_PICTURE]
    assert labelled(dataset) == {"a": set(), "b": {"Cat"}}


def test_a_csv_of_other_columns_is_not_taken(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg")
    file = write_text(tmp_path / "x.csv", "filename,class,x,y,w,h\na.jpg,cat,1,1,2,2\n")
    assert scan_dataset(tmp_path).format == "folder"
    with pytest.raises(InputError, match="not a data set of a known format"):
        read_dataset(file)


def test_many_rows_are_read_in_a_moment(tmp_path: Path) -> None:
    rows = [box("ab"[number % 2], CAT, f"0.1,0.{number % 7 + 2},0.1,0.9") for number in range(20_000)]
    file = write_boxes(tmp_path, *rows, labels="")
    start = time.process_time()
    assert sum(len(record.objects.labels) for record in read_dataset(file).records) == 20_000
    assert time.process_time() - start < 2


def test_it_agrees_with_the_same_data_in_another_format(shared_data: Path) -> None:
    formats = shared_data / "voc_formats" / "gts"
    dataset = read_dataset(formats / "openimages_format")
    other = read_dataset(formats / "coco_format_v1" / "instances_default.json")
    assert objects(dataset) == objects(other)
    assert kinds(dataset) == [Kind.NO_IMAGE_LABELS]


def test_descriptions_in_another_encoding_keep_their_classes_apart(tmp_path: Path) -> None:
    file = write_boxes(tmp_path, box("a", "/m/01"), box("b", "/m/02"), labels="")
    text = "/m/01,Bär\n/m/02,Bör\n/m/03,other words in plain letters\n".encode("latin-1")
    write_text(file.with_name("class-descriptions-boxable.csv"), text)
    dataset = read_dataset(file)
    assert dataset.class_names == ("Bär", "Bör")
    assert kinds(dataset) == [Kind.DECODED_TEXT]


def test_shares_of_the_stored_picture(tmp_path: Path) -> None:
    """Left half, upper third of the stored picture of 40 x 30; orientation 6 turns it clockwise."""
    file = write_boxes(tmp_path, box("a", CAT, "0,0.5,0,0.3333333333"), labels="")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "a.jpg", exif=exif)
    assert objects(read_dataset(file, frame="stored"))["a.jpg"] == [("Cat", [20, 0, 30, 20])]
