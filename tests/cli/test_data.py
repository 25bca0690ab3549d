"""`centerx data` as a user runs it: what is printed, what is written, how it ends."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from centerx.data.read import read_dataset
from centerx.data.write import WRITERS
from centerx.images import read_image
from tests.data.handmade import (
    coco_annotation,
    coco_image,
    write_coco,
    write_picture,
    write_text,
    write_voc,
    write_yolo,
)


def table(out: str) -> dict[str, list[int]]:
    """The rows of the table of classes: boxes, ignored, pictures."""
    rows = [re.split(r"\s*│\s*", line.strip("│ \n")) for line in out.splitlines() if line.startswith("│")]
    return {name: [int(number) for number in numbers] for name, *numbers in rows}


def test_check_counts_real_data_and_names_its_dirt(centerx, shared_data: Path) -> None:
    status, out, err = centerx("data", "check", shared_data / "bccd")
    assert (status, err) == (0, "")
    problems = [line for line in out.splitlines() if line.startswith("skipped")]
    assert len(problems) == 2
    assert re.search(r"BloodImage_00338\.xml: object 13: .* has no area$", problems[0])
    assert re.search(r"BloodImage_00343\.xml: object 4: .* has no area$", problems[1])
    assert "364 pictures, 0 without objects, 0 ignored boxes" in out
    assert out.splitlines()[-1].startswith("kinds: ")
    assert {name: row[0] for name, row in table(out).items()} == {"Platelets": 361, "RBC": 4153, "WBC": 372}


def test_check_names_a_truncated_picture_and_survives_nonsense_exif(centerx, shared_data: Path) -> None:
    status, out, err = centerx("data", "check", shared_data / "fixtures" / "dirty")
    assert (status, err) == (0, "")
    problems = [line for line in out.splitlines() if re.match("skipped|fixed|fatal", line)]
    assert len(problems) == 3
    assert re.search(r"^fixed .*00076\.jpg: its EXIF orientation is 0, not one of 1 to 8", problems[0])
    assert re.search(r"^skipped .*00090\.jpg: not a readable image", problems[1])
    assert re.search(r"^fixed .*00103\.jpg: its EXIF orientation is 65537", problems[2])
    assert table(out) == {"kangaroo": [8, 0, 3]}


def test_check_counts_what_a_plain_read_gives_and_what_is_on_request(
    centerx, shared_data: Path, tmp_path: Path
) -> None:
    sample = tmp_path / "annotation_val.odgt"
    sample.write_bytes((shared_data / "fixtures" / "crowdhuman_sample.odgt").read_bytes())
    write_picture(tmp_path / "Images" / "284193,faa9000f2678b5e.jpg", (844, 642))
    status, out, _ = centerx("data", "check", sample)
    assert (status, table(out)) == (0, {"person": [23, 2, 4]})
    status, out, _ = centerx("data", "check", sample, "--classes", "visible=person,head")
    assert (status, table(out)) == (0, {"person": [23, 2, 4], "head": [22, 3, 4]})


def test_check_ends_with_the_count_of_each_kind_most_first(centerx, tmp_path: Path) -> None:
    source = write_yolo(
        tmp_path / "a", a="0 0.5 0.5 0.5 0.5\n1 0 0.5 0.5 0.5\n" + "0 0.5 0.5 0.5 0.5\n", b="1 0 0 1 1\n"
    )
    _, out, _ = centerx("data", "check", source)
    assert out.splitlines()[-1] == "kinds: 2 box_clipped (fixed), 1 repeated_box (doubtful)"
    _, out, _ = centerx("data", "check", write_yolo(tmp_path / "b", a="0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.2 0.2\n"))
    assert "kinds:" not in out


def test_check_tells_names_as_lines_of_utf8(centerx, tmp_path: Path) -> None:
    folder = tmp_path / "two\nlines"
    write_yolo(folder, a="0 0.5 0.5 0.5 0.5\n1 0 0.5 0.5 0.5\n")
    _, out, _ = centerx("data", "check", folder)
    assert re.search(r"^fixed .*two%0Alines.*a\.", out, re.MULTILINE)
    assert "\nlines" not in out


def test_check_takes_split_and_classes(centerx, shared_data: Path) -> None:
    data = shared_data / "bccd"
    status, out, _ = centerx("data", "check", data, "--split", "test", "--classes", "WBC, RBC")
    assert status == 0
    assert "72 pictures" in out
    assert list(table(out)) == ["WBC", "RBC"]
    status, out, _ = centerx("data", "check", data, "--split", "test", "--classes", "WBC", "--classes", "Platelets,RBC")
    assert (status, list(table(out))) == (0, ["WBC", "Platelets", "RBC"])
    status, out, err = centerx("data", "check", data, "--classes", "RCB")
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert "did you mean 'RBC'" in err


@pytest.mark.parametrize("classes", ["cat", "", ","])
def test_check_refuses_classes_that_are_not_there(centerx, tmp_path: Path, classes: str) -> None:
    write_picture(tmp_path / "a.png")
    status, out, err = centerx("data", "check", tmp_path, "--classes", classes)
    assert (status, out, err.count("\n")) == (2, "", 1)


def test_check_counts_crowds_and_empty_pictures(centerx, tmp_path: Path) -> None:
    images = [
        coco_image(1, "a.png"),
        coco_image(2, "b.png"),
        coco_image(3, "gone.png"),
        coco_image(4, "c.png", width=41),
    ]
    for name in "abc":
        write_picture(tmp_path / f"{name}.png")
    annotations = [coco_annotation(1), coco_annotation(2, iscrowd=1), coco_annotation(3, image_id=3)]
    names = [{"id": 1, "name": "[red]cat"}, {"id": 2, "name": "dog"}]
    file = write_coco(tmp_path / "a.json", images=images, annotations=annotations, categories=names)
    status, out, err = centerx("data", "check", file)
    assert (status, err) == (0, "")
    assert "4 pictures, 2 without objects, 1 ignored box\n" in out
    assert table(out) == {"[red]cat": [2, 1, 2], "dog": [0, 0, 0]}
    assert re.search(r"^skipped .*gone\.png: no such image file.*boxes on it: 1$", out, re.MULTILINE)
    assert re.search(r"^doubtful .*c\.png: is 40 x 30 pixels, not 41 x 30", out, re.MULTILINE)


def test_turned_objects_take_one_line(centerx, tmp_path: Path) -> None:
    """However many they are; where corners are kept, in a picture or a file, they are no problem."""
    rows = ["10 5 20 8 17 18 7 15 ship 0", "10 5 20 8 17 18 7 15 ship 0", "1 1 9 1 9 9 1 9 ship 0"]
    write_text(tmp_path / "set" / "labelTxt" / "a.txt", "\n".join(rows))
    write_picture(tmp_path / "set" / "images" / "a.png")
    status, out, err = centerx("data", "check", tmp_path / "set", "--json", tmp_path / "check.json")
    assert (status, err) == (0, "")
    assert re.findall("^fixed.*$", out, re.MULTILINE) == [
        f"fixed    rotated_box: {tmp_path}/set/labelTxt/a.txt:1: has four corners: tasks without corners use the "
        "upright box around them (3 times)"
    ]
    listed = json.loads((tmp_path / "check.json").read_text())["problems"]
    assert [each["where"][-1] for each in listed if each["kind"] == "rotated_box"] == ["1", "2", "3"]
    for to, told in (("coco", False), ("voc", True)):
        _, _, err = centerx("data", "convert", tmp_path / "set", tmp_path / to, "--to", to)
        assert ("rotated_box" in err) == told
    _, _, err = centerx("data", "show", tmp_path / "set", "--out", tmp_path / "sheet.png")
    assert "rotated_box" not in err


def test_check_lists_all_the_rest_beside_a_fatal_problem_and_ends_with_2(centerx, tmp_path: Path) -> None:
    for name in ("a", "cut"):
        write_voc(tmp_path / "voc" / f"{name}.xml", ("cat", (1, 2, 3, 4)), file_name=f"{name}.png")
    write_picture(tmp_path / "voc" / "a.png")
    (tmp_path / "voc" / "cut.png").write_bytes((tmp_path / "voc" / "a.png").read_bytes()[:30])
    for name in ("b", "c"):
        (tmp_path / "voc" / f"{name}.xml").write_text("<annotation>")
    status, out, err = centerx("data", "check", tmp_path / "voc")
    assert status == 2
    assert len(re.findall(r"^fatal .*: malformed XML", out, re.MULTILINE)) == 2
    assert re.search(r"^skipped .*cut\.png: not a readable image", out, re.MULTILINE)
    assert table(out) == {"cat": [2, 0, 2]}
    assert err.startswith(f"error: {tmp_path / 'voc' / 'b.xml'}: malformed XML (")
    assert err.endswith(", repair or remove it (unreadable_labels) (and 1 more, listed by `centerx data check`)\n")
    (tmp_path / "bad.json").write_bytes(bytes(range(256)))
    status, out, err = centerx("data", "check", tmp_path / "bad.json")
    assert (status, err.count("\n")) == (2, 1)
    assert "malformed JSON" in out


def test_check_ends_with_2_where_there_are_no_pictures_or_none_is_readable(centerx, tmp_path: Path) -> None:
    status, _, err = centerx("data", "check", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "no pictures there" in err
    (tmp_path / "a.jpg").write_text("x")
    status, out, err = centerx("data", "check", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "none of its 1 pictures can be read" in out


def test_check_ends_with_2_where_no_picture_has_a_box(centerx, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    status, out, err = centerx("data", "check", write_coco(tmp_path / "a.json", annotations=[]))
    assert (status, table(out)) == (2, {"cat": [0, 0, 0]})
    assert re.search(r"^fatal .*a\.json: no boxes on any", out, re.MULTILINE)
    assert err.startswith(f"error: {tmp_path / 'a.json'}: no boxes on any of its 1 pictures")
    assert centerx("data", "check", tmp_path, "--format", "folder")[0] == 0, "there nothing is meant to be labelled"


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "cvat"])
def test_convert(centerx, tmp_path: Path, to: str) -> None:
    source = write_yolo(tmp_path / "source", a="1 0.5 0.5 0.25 0.5\n", b="")
    status, out, err = centerx("data", "convert", source, tmp_path / "target", "--to", to)
    assert status == 0
    assert err == f"warning: {source}: class_without_box: 1 doubtful: the class 'cat' has no box\n"
    assert out == f"2 pictures as {to} in {tmp_path / 'target'}, split train\n"
    back = read_dataset(tmp_path / "target")
    assert (back.format, back.class_names) == (to, ("cat", "dog"))
    assert [record.objects.boxes.tolist() for record in back.records] == [[[15, 7.5, 25, 22.5]], []]
    status, out, _ = centerx("data", "check", tmp_path / "target")
    assert status == 0
    assert "2 pictures, 1 without objects" in out


def test_convert_tells_what_is_lost(centerx, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    file = write_coco(tmp_path / "a.json", annotations=[coco_annotation(1, iscrowd=1), coco_annotation(2, bbox=[])])
    status, out, err = centerx("data", "convert", file, tmp_path / "target", "--to", "yolo", "--split", "val")
    assert status == 0
    assert "split val" in out
    assert re.search(r"^warning: .*malformed_entry: 1 skipped: .*annotation 2: bbox must be four", err, re.MULTILINE)
    assert re.search(r"^warning: .*only_ignored_boxes: ", err, re.MULTILINE)
    assert re.search(r"^warning: .*not_written: 1 skipped: .*a\.png: 1 of 1 objects are left out", err, re.MULTILINE)


def test_convert_refuses(centerx, tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "source", a="0 0.5 0.5 0.5 0.5\n")
    status, _, err = centerx("data", "convert", source, tmp_path / "x", "--to", "yollo")
    assert (status, err.count("\n")) == (2, 1)
    assert "did you mean 'yolo'" in err
    status, _, err = centerx("data", "convert", source, tmp_path / "source" / "." / "", "--to", "voc")
    assert status == 2
    assert "is the data set itself" in err
    (tmp_path / "file").write_text("")
    status, _, err = centerx("data", "convert", source, tmp_path / "file" / "x", "--to", "voc")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("error: ")


def test_show_draws_a_sheet_that_the_seed_decides(centerx, shared_data: Path, tmp_path: Path) -> None:
    def sheet(name: str, *options: object):
        status, _, err = centerx("data", "show", shared_data / "bccd", "--out", tmp_path / name, "--count", 5, *options)
        assert (status, err.count("\n")) == (0, 1)
        assert "box_without_area: 2 skipped" in err
        return read_image(tmp_path / name)

    first = sheet("a.png")
    assert (first == sheet("b.png")).all()
    assert (first != sheet("c.png", "--seed", 1)).any()


def test_show_leaves_out_what_cannot_be_read(centerx, shared_data: Path, tmp_path: Path) -> None:
    status, out, err = centerx("data", "show", shared_data / "fixtures" / "dirty", "--out", tmp_path / "a.png")
    assert status == 0
    assert out.startswith("2 pictures of 3 drawn in ")
    assert re.search(r"^warning: skipped: .*00090\.jpg", err, re.MULTILINE)
    assert re.search(r"^warning: .*: orientation: 2 fixed, the first: .*00076\.jpg", err, re.MULTILINE)


def test_the_commands_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import centerx.cli.data, centerx.data.check, centerx.data.read, centerx.data.write, centerx.draw\n"
        "import centerx.data.coco, centerx.data.voc, centerx.data.yolo, centerx.data.folder, centerx.data.source"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def set_of(folder: Path, name: str, count: int = 10) -> Path:
    """A COCO json of pictures with one object each of the class `name`."""
    for number in range(count):
        write_picture(folder / f"{number}.png", grey=20 * number)
    images = [coco_image(number, f"{number}.png") for number in range(count)]
    annotations = [coco_annotation(number, image_id=number) for number in range(count)]
    return write_coco(folder / "set.json", images=images, annotations=annotations, categories=[{"id": 1, "name": name}])


def test_split_writes_files_that_read_back_and_leaves_the_pictures_alone(centerx, tmp_path: Path) -> None:
    source, out = set_of(tmp_path / "source", "cat"), tmp_path / "out"
    status, text, err = centerx("data", "split", source, "--out", out, "--val", 0.2, "--test", 0.1)
    assert (status, err) == (0, "")
    assert re.search(r"cat +│ +7 \(70\.0 %\) │ +2 \(20\.0 %\) │ +1 \(10\.0 %\)", text)
    assert sorted(file.name for file in out.iterdir()) == ["test.json", "train.json", "val.json"]
    parts = [read_dataset(out / f"{name}.json") for name in ("train", "val", "test")]
    assert [len(part.records) for part in parts] == [7, 2, 1]
    assert {record.image.resolve() for part in parts for record in part.records} == set(source.parent.glob("*.png"))
    assert all(part.problems == [] for part in parts)
    first = (out / "val.json").read_bytes()
    assert centerx("data", "split", source, "--out", out)[0] == 2, "files are there already"
    centerx("data", "split", source, "--out", tmp_path / "again", "--val", 0.2, "--test", 0.1)
    assert (tmp_path / "again" / "val.json").read_bytes() == first
    status, _, _ = centerx("data", "split", source, "--out", tmp_path / "voc", "--to", "voc", "--rename", "cat=ox")
    assert (status, read_dataset(tmp_path / "voc", split="val").class_names) == (0, ("ox",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--val", "0"], "must be above 0 and together below 1"),
        (["--val", "0.5", "--test", "0.5"], "must be above 0 and together below 1"),
        (["--val", "nan"], "must be above 0 and together below 1"),
        (["--group", "folders"], "did you mean 'folder'"),
        (["--group", "folder"], "10 pictures in 1 groups are too few"),
        (["--to", "cocoo"], "did you mean 'coco'"),
        (["--rename", "cat"], "must give one new name"),
        (["--rename", "cta=ox"], "did you mean 'cat'"),
        (["--rename", "cat=a\nb"], "the new class name 'a\\nb' is no line of text"),
        (["--classes", "cat=a\x07b"], "the new class name 'a\\x07b' is no line of text"),
    ],
)
def test_split_refuses(centerx, tmp_path: Path, options: list[str], message: str) -> None:
    source = set_of(tmp_path / "source", "cat")
    status, out, err = centerx("data", "split", source, "--out", tmp_path / "out", *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "out").exists()


def test_merge(centerx, tmp_path: Path) -> None:
    first, second = set_of(tmp_path / "a", "cat"), set_of(tmp_path / "b", "dog", 3)
    out = tmp_path / "new" / "both.json"
    status, text, err = centerx("data", "merge", first, second, "--out", out)
    assert (status, text, err) == (0, f"13 pictures with 2 classes (cat, dog) in {out}\n", "")
    assert [len(record.labelled or ()) for record in read_dataset(out).records] == [1] * 13
    status, text, err = centerx("data", "merge", first, second, "--out", out, "--dedup", "exact", "--rename", "dog=cat")
    assert (status, text) == (0, f"10 pictures with 1 class (cat) in {out}\n")
    assert err.count("\n") == 1
    assert "repeated_picture: 3 fixed, the first" in err
    assert all(record.labelled is None for record in read_dataset(out).records)
    for options, message in (
        (["--out", tmp_path / "x.txt"], "name a .json file"),
        (["--out", first], "is read by this command"),
        (["--out", out, "--dedup", "exct"], "did you mean 'exact'"),
        (["--out", out, "--rename", "pig=ox"], "no set has a class 'pig'"),
    ):
        status, _, err = centerx("data", "merge", first, second, *options)
        assert (status, err.count("\n")) == (2, 1)
        assert message in err


def test_stats(centerx, tmp_path: Path) -> None:
    source = set_of(tmp_path / "source", "[red]cat", 3)
    report, plots = tmp_path / "stats.json", tmp_path / "plots"
    status, out, err = centerx("data", "stats", source, "--json", report, "--plots", plots)
    assert (status, err) == (0, "")
    assert "3 pictures, 0 without objects, 3 objects: 3 small, 0 medium, 0 large" in out
    assert re.search(r"\[red\]cat +│ +3 │ +0 │ +3 │ +14 │ +14 │ +14 ", out)
    assert json.loads(report.read_text())["side"]["median"] == 14.1421
    assert len(list(plots.glob("*.png"))) == 6


def test_convert_renames_and_unpacks(centerx, tmp_path: Path) -> None:
    source = set_of(tmp_path / "source", "cat", 2)
    status, _, err = centerx("data", "convert", source, tmp_path / "hf", "--to", "huggingface", "--rename", "cat=ox")
    assert (status, err) == (0, "")
    assert read_dataset(tmp_path / "hf").class_names == ("ox",)
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {
        "image": [{"bytes": (tmp_path / "source" / "0.png").read_bytes(), "path": "0.png"}],
        "objects": [{"bbox": [[1.0, 2.0, 10.0, 20.0]], "category": ["cat"]}],
    }
    import pyarrow

    parquet.write_table(pyarrow.table(table), tmp_path / "train.parquet")
    status, out, err = centerx("data", "check", tmp_path / "train.parquet")
    assert status == 2
    assert "write them out with `centerx data convert PATH FOLDER --to huggingface`" in err
    status, out, err = centerx("data", "convert", tmp_path / "train.parquet", tmp_path / "voc", "--to", "voc")
    assert (status, err) == (0, "")
    assert out == f"1 picture as voc in {tmp_path / 'voc'}, split train\n"
    assert read_dataset(tmp_path / "voc").records[0].boxes.tolist() == [[1, 2, 11, 22]]


def test_the_help_of_convert_names_every_format(centerx) -> None:
    _, out, _ = centerx("data", "convert", "--help")
    told = re.search(r"--to <str>(.*?)\[required\]", out, re.DOTALL)
    assert told
    assert re.split(r"[\s,]+(?:or\s+)?", told[1].strip()) == list(WRITERS)


@pytest.mark.soak
@pytest.mark.parametrize("form", ["coco", "yolo", "folder"])
def test_memory_hardly_grows_with_the_number_of_pictures(tmp_path: Path, form: str) -> None:
    def most_bytes(count: int) -> int:
        root = tmp_path / f"{count}"
        (root / "images").mkdir(parents=True)
        picture = root / "one.png"
        Image.effect_noise((40, 30), 50).save(picture)
        for number in range(count):
            os.link(picture, root / "images" / f"{number:06d}.png")
        if form == "coco":
            images = [coco_image(number, f"{number:06d}.png") for number in range(count)]
            boxes = [coco_annotation(row, image_id=row // 2, bbox=[1, 1, 9, 9 + row % 2]) for row in range(2 * count)]
            write_coco(root / "a.json", images=images, annotations=boxes)
        if form == "yolo":
            rows = "0 0.5 0.5 0.2 0.2\n0 0.4 0.4 0.2 0.2\n"
            write_yolo(root)
            (root / "labels").mkdir()
            for number in range(count):
                (root / "labels" / f"{number:06d}.txt").write_text(rows)
        place = {"coco": root / "a.json", "yolo": root, "folder": root / "images"}[form]
        program = (
            "import resource, sys; from centerx.cli.main import main; sys.argv[1:] = ['data', 'check', sys.argv[1]]\n"
            "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
            "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
        )
        done = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True, check=True)
        assert f"{count} pictures" in done.stdout
        return int(done.stdout.split()[-1])

    few, many = 1_000, 15_000
    assert most_bytes(many) - most_bytes(few) < 1_500 * (many - few)
