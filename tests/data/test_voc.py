"""Pascal VOC: splits, difficult objects, names of pictures and dirt."""

from pathlib import Path

import numpy as np
import pytest

from centerx.data.read import read_dataset, scan_dataset
from centerx.errors import InputError
from centerx.problems import Kind
from tests.data.handmade import actions_of, write_picture, write_text, write_voc

BOX = (1, 2, 11, 22)


def test_splits_and_counts_of_real_data(shared_data: Path) -> None:
    sizes = {split: len(read_dataset(shared_data / "bccd", split=split).records) for split in ("train", "val", "test")}
    assert sizes == {"train": 205, "val": 87, "test": 72}
    whole = read_dataset(shared_data / "bccd")
    assert whole.class_names == ("Platelets", "RBC", "WBC")
    assert sum(len(record.objects.labels) for record in whole.records) == 4155 + 372 + 361 - 2
    assert all(record.image.is_file() for record in whole.records)
    assert [(Path(problem.where.split(":")[0]).stem, problem.action) for problem in whole.problems] == [
        ("BloodImage_00338", "skipped"),
        ("BloodImage_00343", "skipped"),
    ]


def test_classes_are_those_of_all_files_not_of_the_split(tmp_path: Path) -> None:
    write_voc(tmp_path / "Annotations" / "a.xml", ("dog", BOX))
    write_voc(tmp_path / "Annotations" / "b.xml", ("cat", BOX))
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a  1\n\nmissing -1\n")
    for path in (tmp_path, tmp_path / "Annotations"):
        dataset = read_dataset(path, split="train")
        assert dataset.class_names == ("cat", "dog")
        assert [record.image_id for record in dataset.records] == ["a"]
        assert actions_of(dataset) == ["skipped"]
    with pytest.raises(InputError, match=r"no split 'trai' \(did you mean 'train'\?\), there are: train"):
        read_dataset(tmp_path, split="trai")


@pytest.mark.parametrize(("text", "ignored"), [("0", False), ("1", True), ("", False), (" 1 ", True)])
def test_difficult_objects_are_ignored(tmp_path: Path, text: str, ignored: bool) -> None:
    write_voc(tmp_path / "a.xml", ("dog", BOX), extra=f"<difficult>{text}</difficult>")
    record = read_dataset(tmp_path).records[0]
    assert record.objects.ignore.tolist() == [ignored]
    assert record.objects.boxes.tolist() == [list(BOX)]
    assert record.objects.values["area"].tolist() == [200]


def test_difficult_objects_of_real_data(shared_data: Path) -> None:
    dataset = read_dataset(shared_data / "voc_formats" / "gts" / "pascalvoc_format")
    assert sum(int(record.objects.ignore.sum()) for record in dataset.records) == 38
    assert all(record.image.is_file() for record in dataset.records)


def test_a_label_map_gives_the_order_and_the_classes_without_objects(tmp_path: Path) -> None:
    write_voc(tmp_path / "Annotations" / "a.xml", ("cat", BOX), ("ox", BOX))
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nyak:::\ncat:1,2,3::\n")
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("yak", "cat", "ox")
    assert dataset.records[0].objects.labels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("xml", "named", "picture"),
    [
        ("pig.xml", "pig.jpg", "JPEGImages/pig.jpg"),  # a name made of the letters of its suffix
        ("gp.xml", "", "JPEGImages/gp.jpg"),
        ("a.b.xml", "a.b.png", "images/a.b.png"),
        ("a.xml", "C:\\pictures\\a.jpg", "Annotations/a.jpg"),
        ("a.xml", "other.jpg", "JPEGImages/a.JPG"),
        ("a.xml", "a", "a.png"),
    ],
)
def test_pictures_are_found_by_name_or_by_the_name_of_the_xml(
    tmp_path: Path, xml: str, named: str, picture: str
) -> None:
    write_voc(tmp_path / "Annotations" / xml, ("dog", BOX), file_name=named)
    write_picture(tmp_path / picture)
    assert read_dataset(tmp_path).records[0].image == tmp_path / picture


def test_the_folder_of_the_xml_files_stands_for_the_data_set(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "voc"
    picture = write_picture(tmp_path / "a" / "images" / "pig.jpg")
    write_voc(root / "Annotations" / "pig.xml", ("ox", BOX), ("cat", BOX), file_name="pig.jpg")
    (root / "labelmap.txt").write_text("ox:::\ncat:::\n")
    for path in (root, root / "Annotations"):
        dataset = read_dataset(path)
        assert (dataset.path, dataset.class_names) == (path, ("ox", "cat"))
        assert dataset.records[0].image == picture


def test_a_missing_picture_is_where_it_should_be(tmp_path: Path) -> None:
    write_voc(tmp_path / "Annotations" / "a.xml", ("dog", BOX), file_name="a.jpg")
    assert read_dataset(tmp_path).records[0].image == tmp_path / "JPEGImages" / "a.jpg"


@pytest.mark.parametrize(
    ("name", "box", "action"),
    [
        ("dog", (5, 5, 5, 5), "skipped"),
        ("dog", (11, 2, 1, 22), "skipped"),
        ("dog", ("", 2, 11, 22), "skipped"),
        ("dog", ("nan", 2, 11, 22), "skipped"),
        ("dog", ("x", 2, 11, 22), "skipped"),
        ("", BOX, "skipped"),
        ("dog", (100, 100, 110, 110), "skipped"),
        ("dog", (1, 2, 11, 220), "fixed"),
    ],
)
def test_a_bad_object_is_named_with_its_number(tmp_path: Path, name: str, box: tuple[object, ...], action: str) -> None:
    file = write_voc(tmp_path / "a.xml", ("dog", BOX), (name, box))
    dataset = read_dataset(tmp_path)
    assert [(problem.where, problem.action) for problem in dataset.problems] == [(f"{file}: object 2", action)]
    assert dataset.records[0].objects.boxes[0].tolist() == list(BOX)
    assert dataset.records[0].objects.boxes[1:].tolist() == ([] if action == "skipped" else [[1, 2, 11, 30]])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<annotation><object>",
        bytes(range(256)),
        b"<annotations/>",
        b'<?xml version="1.0" encoding="nonsense"?><annotation/>',
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>',
    ],
)
def test_a_file_that_is_not_an_annotation_is_fatal(tmp_path: Path, content: bytes) -> None:
    write_voc(tmp_path / "a.xml", ("dog", BOX))
    (tmp_path / "bad.xml").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.xml") as caught:
        read_dataset(tmp_path)
    assert "\n" not in str(caught.value)
    assert actions_of(scan_dataset(tmp_path)) == ["fatal"]


def test_lists_with_a_byte_order_mark_and_repetitions(tmp_path: Path) -> None:
    write_voc(tmp_path / "Annotations" / "a.xml", ("cat", BOX))
    (tmp_path / "labelmap.txt").write_text("\ufeffox:::\ncat:::\n", encoding="utf-8")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\ufeffa\na\n", encoding="utf-8")
    dataset = read_dataset(tmp_path, split="val")
    assert dataset.class_names == ("ox", "cat")
    assert [record.image_id for record in dataset.records] == ["a"]
    assert [(problem.what, problem.action) for problem in dataset.problems] == [
        ("a: listed 2 times, used once", "fixed")
    ]


def test_xml_files_are_known_by_their_suffix_in_any_case(tmp_path: Path) -> None:
    write_voc(tmp_path / "Annotations" / "a.XML", ("cat", BOX))
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.class_names) == ("voc", ("cat",))


def test_sub_folders_are_splits(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        write_voc(tmp_path / split / f"{split}.xml", ("dog", BOX), file_name=f"{split}.png")
        write_picture(tmp_path / split / f"{split}.png")
    dataset = read_dataset(tmp_path, split="valid")
    assert [record.image for record in dataset.records] == [tmp_path / "valid" / "valid.png"]
    with pytest.raises(InputError, match="which of train, valid"):
        read_dataset(tmp_path)


def test_the_parts_of_an_object_are_not_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    write_voc(tmp_path / "a.xml", ("person", BOX), extra=part)
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == ("person",)
    assert dataset.records[0].objects.boxes.tolist() == [list(BOX)]


def test_the_picture_of_the_xmls_own_name_wins_over_the_one_it_names(tmp_path: Path) -> None:
    for stem, named in (("0", "1.png"), ("1", "1.png"), ("2", "0.png")):
        write_picture(tmp_path / "images" / f"{stem}.png")
        write_voc(tmp_path / "Annotations" / f"{stem}.xml", ("cat", (1, 2, 3, 4)), file_name=named)
    dataset = read_dataset(tmp_path)
    assert [record.image.name for record in dataset.records] == ["0.png", "1.png", "2.png"]
    assert [(problem.kind, Path(problem.where).name) for problem in dataset.problems] == [
        (Kind.CONTRADICTING_NAME, "0.xml"),
        (Kind.CONTRADICTING_NAME, "2.xml"),
    ]


def test_the_named_picture_is_used_where_the_xml_has_none_of_its_own(tmp_path: Path) -> None:
    write_picture(tmp_path / "IMG 1.png")
    for stem, box in (("a", (1, 2, 3, 4)), ("b", (5, 6, 7, 8))):
        write_voc(tmp_path / f"{stem}.xml", ("cat", box), file_name="IMG 1.png")
    dataset = read_dataset(tmp_path)
    (record,) = dataset.records
    assert (record.image.name, record.image_id, record.aliases) == ("IMG 1.png", "a", ("b",))
    assert record.objects.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert [problem.kind for problem in dataset.problems] == [Kind.REPEATED_PICTURE]


@pytest.mark.parametrize("folder", ["Annotations", "annotations"])
def test_xml_files_in_sub_folders_of_annotations_are_one_data_set(tmp_path: Path, folder: str) -> None:
    for day, stem in (("day0", "0"), ("day0", "1"), ("day1", "0")):
        write_picture(tmp_path / "JPEGImages" / day / f"{stem}.png")
        write_voc(tmp_path / folder / day / f"{stem}.xml", (day, (1, 2, 3, 4)), file_name=f"{stem}.png")
    for path in (tmp_path, tmp_path / folder):
        dataset = read_dataset(path)
        assert [(record.image_id, record.image) for record in dataset.records] == [
            (name, tmp_path / "JPEGImages" / f"{name}.png") for name in ("day0/0", "day0/1", "day1/0")
        ]
        assert dataset.problems == []
    write_text(tmp_path / "ImageSets" / "Main" / "val.txt", "1\nday1/0\n")
    assert [record.image_id for record in read_dataset(tmp_path, split="val").records] == ["day0/1", "day1/0"]


def test_turned_boxes_of_rolabelimg(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (100, 100))
    box = "<cx>40</cx><cy>30</cy><w>40</w><h>20</h><angle>1.5707963267948966</angle>"
    turned = f"<object><name>car</name><robndbox>{box}</robndbox></object>"
    xml = f"<annotation><filename>a.png</filename>{turned}</annotation>"
    write_text(tmp_path / "a.xml", xml)
    dataset = read_dataset(tmp_path)
    np.testing.assert_allclose(dataset.records[0].objects.boxes, [[30, 10, 50, 50]], atol=1e-9)
    assert [problem.kind for problem in dataset.problems] == [Kind.ROTATED_BOX]


def test_two_pictures_that_may_belong_to_an_xml_are_told(tmp_path: Path) -> None:
    for folder in "bc":
        write_picture(tmp_path / "JPEGImages" / folder / "1.png")
    write_voc(tmp_path / "Annotations" / "1.xml", ("cat", (1, 2, 3, 4)), file_name="1.png")
    dataset = read_dataset(tmp_path)
    assert [problem.kind for problem in dataset.problems] == [Kind.TWO_PLACES]
    for suffix in ("jpg", "png"):
        write_picture(tmp_path / "two" / f"1.{suffix}")
    write_voc(tmp_path / "two" / "1.xml", ("cat", (1, 2, 3, 4)), file_name="1.png")
    dataset = read_dataset(tmp_path / "two")
    assert (dataset.records[0].image.name, dataset.problems) == ("1.png", []), "the xml's suffix decides"
    write_voc(tmp_path / "two" / "1.xml", ("cat", (1, 2, 3, 4)), file_name="1.bmp")
    assert [problem.kind for problem in read_dataset(tmp_path / "two").problems] == [Kind.TWO_PLACES]


def test_a_label_map_in_another_encoding_keeps_its_classes_apart(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_voc(tmp_path / "a.xml", ("cat", (1, 2, 3, 4)))
    names = ("Bär", "Bör", "cat")
    text = "# label:color_rgb:parts:actions\n" + "".join(f"{name}:::\n" for name in names)
    write_text(tmp_path / "labelmap.txt", text.encode("latin-1"))
    dataset = read_dataset(tmp_path)
    assert dataset.class_names == names
    assert [problem.kind for problem in dataset.problems] == [Kind.DECODED_TEXT]


def test_names_of_another_case_or_normal_form_are_found(tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "caf\u00e9.PNG")
    write_voc(tmp_path / "cafe\u0301.xml", ("cat", (1, 2, 3, 4)), file_name="CAF\u00c9.png")
    assert read_dataset(tmp_path).records[0].image == picture


def test_the_picture_of_another_xml_is_not_taken_for_one_that_is_missing(tmp_path: Path) -> None:
    write_picture(tmp_path / "2.png")
    write_voc(tmp_path / "1.xml", ("cat", (1, 2, 3, 4)), file_name="2.png")
    write_voc(tmp_path / "2.xml", ("dog", (5, 6, 7, 8)), file_name="2.png")
    dataset = read_dataset(tmp_path)
    assert [(record.image.name, record.image.exists()) for record in dataset.records] == [
        ("1.jpg", False),
        ("2.png", True),
    ]
    assert dataset.records[1].objects.boxes.tolist() == [[5, 6, 7, 8]]
    assert [(problem.kind, Path(problem.where).name) for problem in dataset.problems] == [
        (Kind.CONTRADICTING_NAME, "1.xml")
    ]


def test_xml_files_that_differ_in_the_case_of_their_suffix_are_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    write_voc(tmp_path / "a.XML", ("cat", (1, 1, 2, 2)))
    write_voc(tmp_path / "a.xml", ("dog", (1, 1, 2, 2)))
    if len(list(tmp_path.glob("a.[xX]*"))) < 2:
        pytest.skip("names here are the same in any case")
    dataset = scan_dataset(tmp_path)
    assert [problem.kind for problem in dataset.problems] == [Kind.REPEATED_ID]
    assert dataset.records[0].labels.tolist() == [0]
