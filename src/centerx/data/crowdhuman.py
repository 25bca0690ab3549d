"""Read CrowdHuman: an .odgt file with one line of JSON per picture and three boxes per person.

Full boxes include hidden parts and may leave the picture. They are clipped without a report.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from centerx.data.dataset import FARTHEST, Dataset, RecordBuilder, readable_hw
from centerx.data.places import PROBE, choose_file, find_pictures, text_lines
from centerx.data.records import Records
from centerx.data.text import parse_json
from centerx.data.values import is_number, to_flag
from centerx.problems import Kind, Problem

KINDS = {"person": "fbox", "visible": "vbox", "head": "hbox"}  # class -> key of its box
FLAGS = (("extra", "ignore"), ("head_attr", "ignore"), ("head_attr", "unsure"))  # of a person, and of its head
MASK = "mask"  # tag of a region whose objects are not labelled


class _Line(NamedTuple):
    where: str
    own_id: str
    objects: list[Any]

    @property
    def picture(self) -> str:
        return f"{self.own_id}.jpg"


def recognises(path: Path) -> bool:
    """Return whether a path is an .odgt file or a folder with one."""
    return path.suffix.lower() == ".odgt" if path.is_file() else bool(_files(path))


def read(path: Path, split: str | None, images: Path | None) -> Dataset:
    """Read a file, or the file of a split in a folder.

    The class is `person`; the optional classes are `visible` and `head`. Masks are ignored regions of all classes. A
    person with `ignore` is ignored in all classes, and one whose head is marked as ignored or unsure is ignored in
    `head`.
    """
    file = path if path.is_file() else choose_file(path, _files(path), split)
    problems: list[Problem] = []
    folder = images or find_pictures(file, [line.picture for line in islice(_lines(file, []), PROBE)])
    records = Records()
    for line in _lines(file, problems):  # one line at a time, to save memory
        image = folder / line.picture
        builder = RecordBuilder(image, line.own_id, problems, readable_hw(image))
        for number, each in enumerate(line.objects, start=1):
            _add(builder, f"{line.where}: box {number}", each)
        records.append(builder.build())
    names = tuple(KINDS)
    return Dataset(path, "crowdhuman", names, (1, 2, 3), records, problems, optional_classes=names[1:])


def _lines(file: Path, problems: list[Problem]) -> Iterator[_Line]:
    taken: dict[str, str] = {}
    for where, row in text_lines(file):
        try:
            tree = parse_json(row)
        except ValueError as error:
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"malformed JSON ({error})"))
            continue
        own_id = tree.get("ID") if isinstance(tree, dict) else None
        if not isinstance(own_id, str) or not own_id:
            problems.append(
                Problem(Kind.MALFORMED_ENTRY, where, "not a CrowdHuman picture, a mapping with an ID is needed")
            )
        elif not isinstance(tree.get("gtboxes"), list):
            problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"{own_id}: has no list gtboxes"))
        elif own_id in taken:
            problems.append(Problem(Kind.REPEATED_ID, where, f"{own_id}: its ID is taken by {taken[own_id]}"))
        else:
            taken[own_id] = where
            yield _Line(where, own_id, tree["gtboxes"])


def _add(builder: RecordBuilder, where: str, each: Any) -> None:
    if not isinstance(each, dict):
        builder.problems.append(Problem(Kind.MALFORMED_ENTRY, where, "is not a mapping"))
        return
    tag = each.get("tag")
    if tag not in (MASK, "person"):
        builder.problems.append(
            Problem(Kind.UNKNOWN_OBJECT, where, f"tag {tag!r} is neither person nor mask, ignored region")
        )
    flags = {key: _says(each, *key) for key in FLAGS}
    if None in flags.values():
        wrong = next(f"{part}.{key}" for (part, key), said in flags.items() if said is None)
        builder.problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"{wrong} must be 0 or 1"))
        return
    hidden, *doubts = flags.values()
    ignored = tag != "person" or bool(hidden)
    for label, key in enumerate(KINDS.values()):
        box = each.get(key if tag == "person" else "fbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            builder.problems.append(Problem(Kind.MALFORMED_ENTRY, where, f"{key} must be four numbers, not {box!r}"))
            continue
        x, y, width, height = map(float, box)
        xyxy = _inside([x, y, x + width, y + height], builder.declared_hw)
        unsure = key == "hbox" and any(doubts)
        builder.add(f"{where}: {key}", xyxy, label, ignored or unsure)


def _inside(xyxy: list[float], hw: tuple[int, int] | None) -> list[float]:
    """Clip a box to its picture. A box that is entirely outside is returned as it is, and reported later."""
    if hw is None or not all(abs(value) < FARTHEST for value in xyxy):
        return xyxy
    x0, y0, x1, y1 = xyxy
    inside = [max(x0, 0.0), max(y0, 0.0), min(x1, float(hw[1])), min(y1, float(hw[0]))]
    return inside if inside[0] < inside[2] and inside[1] < inside[3] else xyxy


def _says(each: dict[str, Any], part: str, key: str) -> bool | None:
    attributes = each.get(part)
    return to_flag(attributes.get(key)) if isinstance(attributes, dict) else False


def _files(folder: Path) -> list[Path]:
    return [file for place in ("*.odgt", "*/*.odgt") for file in sorted(folder.glob(place))]
