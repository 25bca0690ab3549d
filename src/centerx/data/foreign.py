"""Detect labels near a folder of pictures in formats that no reader supports, so that they are not silently ignored.

A format is recognised by the names, beginnings and ends of a few files, whatever the number of pictures.
"""

from __future__ import annotations

import heapq
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from centerx.data.dataset import parent_folder
from centerx.data.signs import Test, Text, anything, columns, every, keys, lacks, read_signs, rows, says
from centerx.data.values import DECIMAL
from centerx.images import SUFFIXES
from centerx.problems import Kind, Problem

SAMPLE = 8  # files of one folder and suffix that are opened
MOST = 64  # files of one suffix that are opened
WORD = r"(?:ann(?:ot?|otation)?s?|labels?(?:txt|xml)?|jsons?|csvs?|xmls?|txts?|gts?|(?:ground)?truths?|b?box(?:es)?)"
# Name, of one to three words, of a folder beside the pictures that may contain their labels.
LABEL_FOLDER = re.compile(
    rf"{WORD}(?:[-_. ][^-_ ]+){{0,2}}|[^-_. ]+[-_. ]{WORD}(?:[-_. ][^-_ ]+)?|(?:[^-_. ]+[-_. ]){{2}}{WORD}",
    re.IGNORECASE,
)
AFFIXES = re.compile(
    r"^(?:gt|labels?|anno)_|(?:[._-]+(?:annotations?|anno|labels?|gt|bbox|boxes|objects|pixel|gtfine_polygons))$"
)
CAMERA = "_leftimg8bit"  # in the names of pictures of Cityscapes
CONVERT = "convert them to COCO, YOLO or VOC"
NAME_FILE = "name this file to read them"
NAME_ABOVE = "name the folder above those of labels and pictures to read them"
NAME_FOLDER = "name the folder that holds labels and pictures to read them"


class _Format(NamedTuple):
    """How the labels of a format are recognised.

    Attributes:
        name: name of the format.
        files: pattern of the folder and name of a file, in lower case.
        test: test of its content.
        advice: what the user can do with the labels.
        link: how labels must refer to a picture: `name`, by the name of their file, or `any`, by that or by a name in
            their content.
    """

    name: str
    files: str
    test: Test
    advice: str = CONVERT
    link: str = ""


JSON = r".*\.(?:json|jsonl|ndjson)"
CSV = r".*\.(?:csv|tsv)"
TEXT = r".*\.txt"
XML = r".*\.xml"
LABELS = r"(?:.*[^a-z])?(?:anno[a-z]*|[a-z]*labels?|gt|(?:ground)?truth|digitstruct|b?box(?:es)?)(?:[^a-z].*)?"
PART = r".*/(?=.*(?:train|val|test|anno|label|metadata)).*"
NUMBER = DECIMAL.pattern
UNIT = r"-?(?:0?\.\d+|[0-2](?:\.\d*)?)(?:e-?\d+)?"  # a number that is probably between 0 and 1
GAP = r"(?:\s*[,;]\s*|\s+)"
PICTURE = rf"[^,;\n]*(?:{'|'.join(map(re.escape, sorted(SUFFIXES)))})"
SIDE = r"x_?min|xmin|min_?x|x_?0|x_?1|left|x_?cent(?:er|re)|[xy]|bb?ox.*|.*bbox|box(?:es)?(?:string)?|roi[._]x1"
OTHER_SIDE = r"y_?max|ymax|max_?y|y_?1|y_?2|bottom|height|h|bb?ox.*|.*bbox|box(?:es)?(?:string)?|roi[._]y2"

# Tested in this order for each file; specific formats come before general ones.
FORMATS = (
    _Format("LabelMe json", JSON, keys("shapes", "imagePath"), NAME_FOLDER),
    _Format(
        "CreateML json",
        JSON,
        every(keys("annotations"), says(r'"coordinates"\s*:\s*\{\s*"(?:x|y|width|height)"')),
        NAME_FILE,
    ),
    _Format("Label Studio json", JSON, keys("from_name", "to_name"), NAME_FILE),
    _Format("Label Studio json", JSON, says(r'"(?:rectangle|polygon|keypoint)labels"'), NAME_FILE),
    _Format("VGG Image Annotator json", JSON, keys("shape_attributes"), NAME_FILE),
    _Format("Supervisely json", JSON, keys("classTitle")),
    _Format("SuperAnnotate json", JSON, keys("instances", "className")),
    _Format("Datumaro json", JSON, keys("items", "annotations", "label_id")),
    _Format("BDD100K json", JSON, keys("box2d")),
    _Format("VoTT json", JSON, keys("asset", "regions")),
    _Format("Darwin json", JSON, keys("annotations", "bounding_box")),
    _Format("FiftyOne json", JSON, keys("detections", "bounding_box"), NAME_FILE),
    _Format("Labelbox json", JSON, keys("data_row", "projects")),
    _Format("Labelbox json", JSON, keys("Labeled Data", "Label")),
    _Format("Cityscapes json", JSON, keys("imgHeight", "objects", "polygon")),
    _Format("Tsinghua-Tencent 100K json", JSON, keys("imgs", "types")),
    _Format("SageMaker Ground Truth manifest", r".*\.(?:manifest|json|jsonl)", keys("source-ref", "annotations")),
    _Format("Dataloop json", JSON, keys("annotations", "coordinates", "filename")),
    _Format("Hugging Face metadata", JSON, keys("file_name", "objects", "bbox"), NAME_FILE),
    _Format("COCO panoptic json", JSON, keys("segments_info", "image_id")),
    _Format("COCO json", JSON, every(keys("image_id", "category_id"), lacks("score")), NAME_FILE),
    _Format("CrowdHuman odgt", r".*\.odgt", keys("gtboxes"), NAME_FILE),
    _Format("OpenImages csv", CSV, columns("imageid", "labelname", "xmin", "ymax"), NAME_FILE),
    _Format("VGG Image Annotator csv", CSV, columns("region_shape_attributes"), NAME_FILE),
    _Format("Label Studio csv", CSV, says(r"(?:rectangle|polygon|keypoint)labels")),
    _Format("csv of boxes (Roboflow, TensorFlow)", CSV, columns("filename", "class", "xmin", "ymax"), NAME_FILE),
    _Format("csv of boxes (DeepForest)", CSV, columns("image_path", "label", "xmin", "ymax"), NAME_FILE),
    _Format("csv of traffic signs (GTSRB)", CSV, columns("filename", r"roi\.x1")),
    _Format("csv of masks as run lengths", CSV, columns("encodedpixels")),
    _Format("csv of boxes (Vision AutoML)", CSV, rows(rf"\w*,?[a-z]+://{PICTURE},[^,]*,(?:[\d.]*,){{7}}[\d.]*")),
    _Format("csv of boxes (RetinaNet)", CSV, rows(rf"{PICTURE},(?:{NUMBER}(?:,{NUMBER}){{3}}|,,,),[^,]*")),
    _Format("csv of boxes (makesense.ai)", CSV, rows(rf"[^,]+,(?:{NUMBER},){{4}}{PICTURE},\d+,\d+")),
    _Format("csv of boxes", CSV, columns(SIDE, OTHER_SIDE), link="any"),
    _Format("WIDER FACE text", TEXT, says(rf"\A#?\s*{PICTURE}\s*\n\s*\d+\s*\n(?:{NUMBER}[ \t]+){{3,}}"), NAME_FILE),
    _Format(
        "pseudo labels of the original centerX", TEXT, rows(rf"{PICTURE}\s*;\s*\d+\s*;\s*\d+\s*(?:;.*)?"), NAME_FILE
    ),
    _Format("text of pictures and boxes (keras-yolo3)", TEXT, says(rf"(?m)^{PICTURE}(?:[ \t]+\d+(?:,\d+){{4}})+\s*$")),
    _Format("KITTI text", TEXT, rows(rf"[a-z][\w-]*(?:\s+{NUMBER}){{14,15}}"), NAME_ABOVE),
    _Format("DOTA text", TEXT, says(r"\A\s*imagesource:"), NAME_ABOVE),
    _Format("DOTA text", TEXT, rows(rf"(?:{NUMBER}\s+){{8}}[a-z]\S*(?:\s+\d)?"), NAME_ABOVE),
    _Format(
        "YOLO text", TEXT, rows(rf"\d+(?:\s+{UNIT}){{4,}}"), f"{NAME_FOLDER}, with its class names in data.yaml", "name"
    ),
    _Format("text of plates (WPOD-Net)", TEXT, rows(r"\d,(?:0?\.\d+,){8}[^,]*,?"), NAME_FOLDER, "name"),
    _Format("VisDrone text", TEXT, rows(r"(?:-?\d+,){7}-?\d+,?"), link="name"),
    _Format("ICDAR text", TEXT, rows(rf"(?:{NUMBER}\s*,\s*){{8}}.*"), NAME_FOLDER, "name"),
    _Format("ICDAR text", TEXT, rows(rf'(?:{NUMBER}{GAP}){{4}}".*"'), link="name"),
    _Format("MOTChallenge text", r"gt/.*\.txt|.*/gt\.txt", rows(rf"(?:{NUMBER},){{6,}}{NUMBER},?")),
    _Format(
        "text of boxes (WiderPerson, BBox-Label-Tool)", TEXT, says(r"\A\s*\d+\s*\n\s*(?:\d+ ){3,4}\d+"), link="name"
    ),
    _Format("text of names and boxes (OIDv4)", TEXT, rows(rf"[a-z][^\d:]*(?:{GAP}{NUMBER}){{4}}"), link="name"),
    _Format("colours of masks (CamVid)", r".*/label_colors\.txt", anything),
    _Format("CVAT xml", XML, every(says("<annotations>"), says(r"<(?:image|track)\b")), NAME_FILE),
    _Format("roLabelImg xml", XML, says("<robndbox>"), NAME_FOLDER),
    _Format("dlib xml", XML, every(says("<dataset>"), says("<image file="))),
    _Format("HRSC2016 xml", XML, says("<HRSC_(?:Image|Objects?)>")),
    _Format("UA-DETRAC xml", XML, every(says(r"<sequence\b"), says("<target_list>"))),
    _Format("FAIR1M xml", XML, says("<possibleresult>")),
    _Format("ICDAR xml", XML, says("<taggedRectangle")),
    _Format("Pascal VOC xml", XML, every(says(r"<annotation\b"), says("<bndbox>")), NAME_FOLDER),
    _Format("LabelMe xml", XML, every(says(r"<annotation\b"), says("<polygon>"))),
    _Format("yaml of pictures and boxes", r".*\.ya?ml", every(says(r"\bboxes:"), says(r"\bx_?min\b"))),
    _Format("landmarks in pts", r".*\.pts", says("n_points")),
    _Format("TFRecord", r".*\.tfrecords?(?:[-.].*)?|.*\.record(?:-\d.*)?", anything),
    _Format("RecordIO", r".*\.rec", anything),
    _Format("LMDB", r".*/data\.mdb|.*\.lmdb", anything),
    _Format("Parquet", rf"{PART}\.parquet", anything),
    _Format("Arrow", rf"{PART}\.(?:arrow|feather)", anything),
    _Format("MATLAB file", rf"{LABELS}\.mat", anything),
    _Format("MATLAB file", r".*\.mat", anything, link="name"),
    _Format("HDF5 file", rf"{LABELS}\.(?:h5|hdf5)", anything),
    _Format("pickle", rf"{LABELS}\.(?:pkl|pickle)", anything),
    _Format("NumPy file", rf"{LABELS}\.np[yz]", anything),
    _Format("Caltech vbb", r".*\.vbb", anything),
)
# Formats for the remaining files.
GENERAL = (
    _Format(
        "json of an unknown form",
        JSON,
        every(says(r'"(?:(?:bnd_?|b|bounding_?)?box(?:es)?|polygons?|rect(?:angle)?s?|x_?min|left)"'), lacks("score")),
        link="any",
    ),
    _Format(
        "xml of an unknown form", XML, says(r"<(?:bnd_?box|b?box|object|xmin|x_?min|polygon|rect\w*)\b"), link="any"
    ),
    _Format("text of pictures and numbers", rf"{TEXT}|{CSV}", rows(rf"{PICTURE}(?:{GAP}{NUMBER}){{4,}}.*"), link="any"),
    _Format(
        "text of numbers", rf"{TEXT}|{CSV}", rows(rf"(?:[^\s:,;]+{GAP})?(?:{NUMBER}{GAP}){{3,}}{NUMBER}.*"), link="name"
    ),
)


class _Pictures:
    """The pictures whose labels are looked for, by the names under which labels refer to them."""

    def __init__(self, pictures: Iterable[Path]) -> None:
        self.names = {picture.name.lower() for picture in pictures}
        self.stems = {name.rpartition(".")[0].removesuffix(CAMERA) for name in self.names}

    def called(self, file_name: str) -> bool:
        """Return whether a file has the name of a picture, apart from what label files append to it."""
        stem = file_name.lower().rpartition(".")[0]
        return any(each in self.stems or each in self.names for each in (stem, AFFIXES.sub("", stem)))

    @cached_property
    def in_text(self) -> set[str]:
        """Names that stand for a picture in a text. Short stems such as `12` or `cat` are left out."""
        return self.names | {
            stem for stem in self.stems if len(stem) > 4 and re.search("[0-9].*[a-z]|[a-z].*[0-9]", stem)
        }

    def named_in(self, text: Text) -> bool:
        """Return whether a text contains the name of a picture."""
        content = f"{text.head}\n{text.tail}".lower()
        words = {*re.split("[\"',;:/\\\\<>=\\s]+", content), *re.split("[\"',;/\\\\<>=\n]+", content)}
        return not self.in_text.isdisjoint(words)


class _Candidate(NamedTuple):
    """A file that may contain labels.

    Attributes:
        file: path of the file.
        inside: whether it is in the folder of the pictures, rather than beside it.
        called: whether it has the name of a picture.
        alike: number of other files with its suffix.
    """

    file: Path
    inside: bool
    called: bool
    alike: int


def foreign_labels(folder: Path, pictures: Iterable[Path]) -> Problem | None:
    """Report labels in or near a folder of pictures.

    In the folder and its subfolders, labels of any known format are reported. Beside it and one folder above, in files
    and in folders such as `labels`, labels are reported if their name or content refers to one of the pictures. The
    problem is fatal, except for labels beside the folder in a format that can be read: these are doubtful.

    Args:
        folder: folder that was read as pictures without labels.
        pictures: the pictures in it.

    Returns:
        A problem that names the format, the first file and what to do, or None.
    """
    ours = _Pictures(pictures)
    general = None
    for candidate in _candidates(folder, ours):
        text = read_signs(candidate.file)
        found = _recognise(FORMATS, candidate, text, ours)
        if found:
            return _problem(found, candidate)
        if general is None:
            found = _recognise(GENERAL, candidate, text, ours)
            general = _problem(found, candidate) if found else None
    return general


def _problem(found: _Format, candidate: _Candidate) -> Problem:
    # For a data set in a supported format, the user may intend to read the pictures without labels.
    kind = Kind.UNREAD_LABELS if candidate.inside or found.advice == CONVERT else Kind.TWO_PLACES
    more = f" (and {candidate.alike} more {candidate.file.suffix} files there)" if candidate.alike else ""
    what = (
        f"labels that are not read: {found.name}{more}; {found.advice}, or use the pictures as unlabelled by naming "
        "the format folder (`--format folder`)"
    )
    return Problem(kind, str(candidate.file), what, 1 + candidate.alike)


def _recognise(formats: Sequence[_Format], candidate: _Candidate, text: Text, ours: _Pictures) -> _Format | None:
    path = "/".join(Path(os.path.abspath(candidate.file)).parts[-2:]).lower()
    for each in formats:
        if not re.fullmatch(each.files, path) or not each.test(text):
            continue
        link = each.link or ("" if candidate.inside else "any")
        if not link or candidate.called or (link == "any" and ours.named_in(text)):
            return each
    return None


def _candidates(folder: Path, ours: _Pictures) -> Iterator[_Candidate]:
    """Yield a few files of each folder and suffix: those in the folder first, of these those named like a picture."""
    opened: Counter[str] = Counter()
    for inside, listings in ((True, os.walk(folder)), (False, _near(folder))):
        groups: dict[tuple[bool, str, str], list[str]] = {}
        for place, folders, names in listings:
            folders[:] = [each for each in folders if not _is_hidden(each)]
            for name in names:
                _, dot, suffix = name.lower().rpartition(".")
                if dot and dot + suffix not in SUFFIXES and not _is_hidden(name):
                    groups.setdefault((not ours.called(name), place, suffix), []).append(name)
        for (stranger, place, suffix), names in sorted(groups.items()):
            for name in heapq.nsmallest(SAMPLE, names):
                opened[suffix] += 1
                if opened[suffix] <= MOST:
                    yield _Candidate(Path(place, name), inside, not stranger, len(names) - 1)


def _near(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk, as `os.walk` does, the two folders above and the folders of labels in them."""
    beside = folder
    for _ in range(2):
        above = parent_folder(beside)
        place, folders, names = next(os.walk(above), (str(above), [], []))
        yield place, [], names
        for name in folders:
            if LABEL_FOLDER.fullmatch(name) and name != os.path.basename(os.path.abspath(beside)):
                yield from os.walk(above / name)
        beside = above


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
